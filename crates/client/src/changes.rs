//! One method for each route that changes an instance that is there.

use model::InstanceId;

use crate::wire::{
    Accepted, AdoptInstance, DestinationList, EditInstance, Migrate, NewSnapshot, Resize,
    SnapshotList,
};
use crate::{Client, Error};

impl Client {
    /// `POST /v1/instances/{id}/resize`.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn resize_instance(
        &self,
        id: InstanceId,
        request: &Resize,
    ) -> Result<Accepted, Error> {
        self.post_json(&format!("v1/instances/{id}/resize"), request).await
    }

    /// `POST /v1/instances/adopt`: takes on a guest that is there.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn adopt_instance(&self, request: &AdoptInstance) -> Result<Accepted, Error> {
        self.post_json("v1/instances/adopt", request).await
    }

    /// `POST /v1/instances/{id}/release`: forgets it; its guest stays.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn release_instance(&self, id: InstanceId) -> Result<Accepted, Error> {
        self.post(&format!("v1/instances/{id}/release")).await
    }

    /// `PATCH /v1/instances/{id}`: name, description, tags, protection, expiry.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn edit_instance(
        &self,
        id: InstanceId,
        request: &EditInstance,
    ) -> Result<Accepted, Error> {
        self.patch_json(&format!("v1/instances/{id}"), request).await
    }

    /// `GET /v1/instances/{id}/snapshots`.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn snapshots(&self, id: InstanceId) -> Result<SnapshotList, Error> {
        self.get(&format!("v1/instances/{id}/snapshots")).await
    }

    /// `POST /v1/instances/{id}/snapshots`.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn take_snapshot(
        &self,
        id: InstanceId,
        request: &NewSnapshot,
    ) -> Result<Accepted, Error> {
        self.post_json(&format!("v1/instances/{id}/snapshots"), request).await
    }

    /// `POST /v1/instances/{id}/snapshots/{name}/rollback`: what has happened
    /// since is lost.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn roll_back(&self, id: InstanceId, name: &str) -> Result<Accepted, Error> {
        self.post(&format!("v1/instances/{id}/snapshots/{}/rollback", segment(name))).await
    }

    /// `DELETE /v1/instances/{id}/snapshots/{name}`.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn discard_snapshot(&self, id: InstanceId, name: &str) -> Result<Accepted, Error> {
        let path = format!("v1/instances/{id}/snapshots/{}", segment(name));
        let body = self.delete(&path).await?;
        serde_json::from_slice(&body).map_err(|error| self.malformed(error.to_string()))
    }

    /// `GET /v1/instances/{id}/destinations`: where it could move, as last seen.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn destinations(&self, id: InstanceId) -> Result<DestinationList, Error> {
        self.get(&format!("v1/instances/{id}/destinations")).await
    }

    /// `POST /v1/instances/{id}/migrate`.
    ///
    /// # Errors
    /// As every call: [`Error`].
    pub async fn migrate_instance(
        &self,
        id: InstanceId,
        request: &Migrate,
    ) -> Result<Accepted, Error> {
        self.post_json(&format!("v1/instances/{id}/migrate"), request).await
    }
}

/// A name as a segment of a path. What no snapshot can be called is left to the
/// server to refuse, but must not reach another route.
pub(crate) fn segment(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    name.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn a_name_stays_within_its_segment() {
        assert_eq!(segment("before-1_a"), "before-1_a");
        assert_eq!(segment("../x?y"), "%2E%2E%2Fx%3Fy");
    }
}
