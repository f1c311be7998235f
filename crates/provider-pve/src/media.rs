//! Media with seeds on a storage.

use std::io::Cursor;

use model::HostId;
use provider::{Error, Handle, SeedMedium};
use pve::tasks::{TaskFilter, TaskSource};
use pve::{Upload, UploadRequest};

use crate::actions::seed::SeedRef;
use crate::cluster::{Cluster, handle};

impl Cluster {
    /// The size of this medium in bytes, where the storage says it; `None` when
    /// the medium is not there.
    pub async fn medium(&self, medium: &SeedRef) -> Result<Option<Option<u64>>, Error> {
        let storage = self.client().node(medium.node.as_str()).storage(&medium.storage);
        let volumes = self.read(storage.content(Some("iso"), None)).await?;
        let volume = medium.volume();
        Ok(volumes.into_iter().find(|found| found.volid == volume).map(|found| found.size))
    }

    /// Whether an upload or a download to a storage of this node goes on.
    pub async fn is_copying(&self, node: &HostId) -> Result<bool, Error> {
        let filter = TaskFilter {
            kind: Some("imgcopy".to_owned()),
            source: Some(TaskSource::Active),
            ..TaskFilter::default()
        };
        let tasks = self.tasks(node, filter).await?;
        Ok(tasks.iter().any(|task| task.endtime.is_none()))
    }

    /// Puts a medium on its storage; one of the same name is replaced.
    pub async fn upload_medium(&self, to: &SeedRef, medium: &SeedMedium) -> Result<Handle, Error> {
        let request = UploadRequest {
            content: "iso".to_owned(),
            filename: to.file.clone(),
            length: u64::try_from(medium.0.len()).unwrap_or(u64::MAX),
            ..UploadRequest::default()
        };
        let upload = Upload::from_reader(request, Cursor::new(medium.0.to_vec()));
        let storage = self.client().node(to.node.as_str()).storage(&to.storage);
        self.task(&to.node, storage.upload_from(upload)).await
    }

    /// Removes a medium; without a handle it is gone already.
    pub async fn remove_medium(&self, medium: &SeedRef) -> Result<Option<Handle>, Error> {
        let storage = self.client().node(medium.node.as_str()).storage(&medium.storage);
        let volume = medium.volume();
        let upid = self.write(storage.delete(&volume)).await?;
        Ok(upid.map(|upid| handle(&medium.node, &upid)))
    }
}
