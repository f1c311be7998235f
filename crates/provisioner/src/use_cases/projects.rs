//! Projects: what they may use, and what they do use.

use model::{Caller, Error, ProjectId, Role};
use store::{Change, Project, Quota, Usage};

use super::audit::Asked;
use super::public;
use crate::house::House;

/// A project with what its instances use.
#[derive(Clone, Debug)]
pub struct ProjectInfo {
    /// Its row; without limits for one that nobody has set any for.
    pub project: Project,
    /// What is used, with what is being added.
    pub used: Usage,
}

const DESCRIPTION_MOST: usize = 4096;

impl House {
    /// The projects that have a row, by name; for others than administrators
    /// their own alone.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not answer.
    pub async fn projects(&self, caller: &Caller) -> Result<Vec<ProjectInfo>, Error> {
        if caller.role != Role::Admin {
            return Ok(vec![self.project(caller, &caller.project).await?]);
        }
        let mut projects = Vec::new();
        for project in self.core.store.projects().await.map_err(public)? {
            let used = self.core.store.usage(&project.name).await.map_err(public)?;
            projects.push(ProjectInfo { project, used });
        }
        Ok(projects)
    }

    /// A project. One that no row describes has no limits.
    ///
    /// # Errors
    /// [`Error::NotFound`] for another's project; [`Error::Unavailable`].
    pub async fn project(&self, caller: &Caller, name: &ProjectId) -> Result<ProjectInfo, Error> {
        if !caller.sees(name) {
            return Err(Error::not_found("project", name));
        }
        let store = &self.core.store;
        let row = store.project(name).await.map_err(public)?;
        let project = row.unwrap_or_else(|| Project {
            name: name.clone(),
            description: String::new(),
            quota: Quota::default(),
            created_at: self.core.clock.now(),
        });
        Ok(ProjectInfo { project, used: store.usage(name).await.map_err(public)? })
    }

    /// Sets what a project may use. What it uses already stays, however much.
    ///
    /// # Errors
    /// [`Error::Forbidden`] but for administrators; [`Error::InvalidRequest`].
    pub async fn set_project(
        &self,
        caller: &Caller,
        name: ProjectId,
        description: String,
        quota: Quota,
    ) -> Result<ProjectInfo, Error> {
        caller.require(Role::Admin)?;
        if description.len() > DESCRIPTION_MOST || description.chars().any(char::is_control) {
            let message = format!("expected at most {DESCRIPTION_MOST} printable bytes");
            return Err(Error::invalid("description", message));
        }
        let limits = [
            ("quota.instances", quota.instances),
            ("quota.cores", quota.cores),
            ("quota.memory", quota.memory),
            ("quota.disk", quota.disk),
        ];
        for (field, limit) in limits {
            if limit.is_some_and(|limit| i64::try_from(limit).is_err()) {
                return Err(Error::invalid(field, format!("expected at most {}", i64::MAX)));
            }
        }
        let created_at = self.core.clock.now();
        let row = Project { name: name.clone(), description, quota, created_at };
        let asked = Asked { action: "project.set", target: name.as_str(), operation: None };
        self.commit(caller, asked, vec![Change::PutProject(Box::new(row))])
            .await
            .map_err(public)?;
        self.project(caller, &name).await
    }

    /// Forgets a project's limits. What belongs to it stays.
    ///
    /// # Errors
    /// [`Error::Forbidden`] but for administrators; [`Error::NotFound`].
    pub async fn forget_project(&self, caller: &Caller, name: &ProjectId) -> Result<(), Error> {
        caller.require(Role::Admin)?;
        let asked = Asked { action: "project.forget", target: name.as_str(), operation: None };
        let remove = vec![Change::RemoveProject(name.clone())];
        self.commit(caller, asked, remove).await.map_err(|error| match error {
            store::Error::NotFound { .. } => Error::not_found("project", name),
            other => public(other),
        })
    }
}
