//! The disks in a backup, as volumes of the backend.

/// The backend's name for a disk in an archive.
pub(super) fn name(archive: &str, device: &str) -> String {
    format!("{archive}#{device}")
}
