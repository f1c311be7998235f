//! Projects: what they may use and do use.

use model::ProjectId;

use crate::wire::{Project, ProjectList, SetProject};
use crate::{Client, Error};

impl Client {
    /// `GET /v1/projects`.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn projects(&self) -> Result<Vec<Project>, Error> {
        Ok(self.get::<ProjectList>("v1/projects").await?.projects)
    }

    /// `GET /v1/projects/{name}`.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn project(&self, name: &ProjectId) -> Result<Project, Error> {
        self.get(&format!("v1/projects/{name}")).await
    }

    /// `PUT /v1/projects/{name}`: sets what it may use.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn set_project(
        &self,
        name: &ProjectId,
        request: &SetProject,
    ) -> Result<Project, Error> {
        self.put_json(&format!("v1/projects/{name}"), request).await
    }

    /// `DELETE /v1/projects/{name}`: forgets its limits.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn forget_project(&self, name: &ProjectId) -> Result<(), Error> {
        self.delete(&format!("v1/projects/{name}")).await.map(drop)
    }
}
