//! Volumes as qcow2 files, made by `qemu-img`.
//!
//! A volume appears under its name only when it is whole: it is written under
//! a name of its own first.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::error::tail;
use super::files::is_partial;
use crate::machine::BackendError;

/// File names end at 255 bytes on every usual file system; `.partial-` comes on top.
const NAME_LIMIT_BYTES: usize = 240;

#[derive(Debug)]
pub(super) struct Volumes {
    folder: PathBuf,
    qemu_img: PathBuf,
}

impl Volumes {
    pub(super) fn new(folder: PathBuf, qemu_img: PathBuf) -> Self {
        Self { folder, qemu_img }
    }

    /// The file of a volume that is there.
    pub(super) fn existing(&self, volume: &str) -> Result<PathBuf, BackendError> {
        let path = self.path(volume)?;
        if path.is_file() {
            Ok(path)
        } else {
            Err(BackendError::new(format!("volume '{volume}' does not exist")))
        }
    }

    fn path(&self, volume: &str) -> Result<PathBuf, BackendError> {
        Ok(self.folder.join(encode(volume)?))
    }

    pub(super) async fn allocate(&self, volume: &str, size_bytes: u64) -> Result<(), BackendError> {
        let size = size_bytes.to_string();
        self.make(volume, async |target| {
            self.run(words(["create", "-q", "-f", "qcow2"], [target, size.as_ref()])).await
        })
        .await
    }

    /// The backing file is named relative to the child, so the folder can move.
    pub(super) async fn clone_linked(&self, base: &str, target: &str) -> Result<(), BackendError> {
        self.existing(base)?;
        let base = encode(base)?;
        self.make(target, async |target| {
            let options = ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", &base];
            self.run(words(options, [target])).await
        })
        .await
    }

    /// Copies a volume, or an image of any format that `qemu-img` detects.
    pub(super) async fn convert(&self, source: &Path, target: &str) -> Result<(), BackendError> {
        self.make(target, async |target| {
            // -U: the source may be in use by a guest that is cloned or backed up.
            let options = ["convert", "-q", "-U", "-O", "qcow2"];
            self.run(words(options, [source.as_os_str(), target])).await
        })
        .await
    }

    pub(super) async fn rename(&self, from: &str, to: &str) -> Result<(), BackendError> {
        let source = self.existing(from)?;
        let target = self.vacant(to)?;
        tokio::fs::rename(&source, &target)
            .await
            .map_err(|error| BackendError::new(format!("cannot rename '{from}': {error}")))
    }

    /// The size that the guest sees, in bytes.
    pub(super) async fn size_bytes(&self, volume: &str) -> Result<u64, BackendError> {
        let path = self.existing(volume)?;
        // -U: the file may be in use by a guest.
        let options = ["info", "-U", "-f", "qcow2", "--output=json"];
        let output = self.run(words(options, [path.as_os_str()])).await?;
        serde_json::from_str::<serde_json::Value>(&output)
            .ok()
            .and_then(|info| info["virtual-size"].as_u64())
            .ok_or_else(|| BackendError::new(format!("the size of '{volume}' is unknown")))
    }

    pub(super) async fn resize(&self, volume: &str, size_bytes: u64) -> Result<(), BackendError> {
        let path = self.existing(volume)?;
        let size = size_bytes.to_string();
        let arguments = [path.as_os_str(), size.as_ref()];
        self.run(words(["resize", "-q", "-f", "qcow2"], arguments)).await.map(drop)
    }

    pub(super) async fn free(&self, volume: &str) -> Result<(), BackendError> {
        match tokio::fs::remove_file(self.path(volume)?).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(BackendError::new(format!("cannot remove '{volume}': {error}")))
            }
            _ => Ok(()),
        }
    }

    /// The volumes that are there, sorted.
    pub(super) fn list(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !is_partial(name))
            .map(|name| decode(&name))
            .collect();
        names.sort();
        names
    }

    fn vacant(&self, volume: &str) -> Result<PathBuf, BackendError> {
        let path = self.path(volume)?;
        if path.exists() {
            return Err(BackendError::new(format!("volume '{volume}' already exists")));
        }
        Ok(path)
    }

    /// Writes under another name, then renames.
    async fn make(
        &self,
        volume: &str,
        write: impl AsyncFnOnce(&OsStr) -> Result<String, BackendError>,
    ) -> Result<(), BackendError> {
        let target = self.vacant(volume)?;
        let partial = self.folder.join(format!(".partial-{}", encode(volume)?));
        let written = match write(partial.as_os_str()).await {
            Ok(_) => tokio::fs::rename(&partial, &target)
                .await
                .map_err(|error| BackendError::new(format!("cannot make '{volume}': {error}"))),
            Err(error) => Err(error),
        };
        if written.is_err() {
            let _ = tokio::fs::remove_file(&partial).await;
        }
        written
    }

    async fn run(&self, arguments: Vec<OsString>) -> Result<String, BackendError> {
        let output = tokio::process::Command::new(&self.qemu_img)
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| BackendError::new(format!("cannot run qemu-img: {error}")))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let text = String::from_utf8_lossy(&output.stderr);
        Err(BackendError::new(tail(&text, 3)))
    }
}

fn words<'a, const N: usize, const M: usize>(
    options: [&'a str; N],
    arguments: [&'a OsStr; M],
) -> Vec<OsString> {
    let options = options.into_iter().map(OsString::from);
    options.chain(arguments.map(OsString::from)).collect()
}

/// A volume id as a file name that is safe everywhere: letters, digits, `-`,
/// `_` and inner dots stay, every other byte becomes `%XX`. Two ids never give
/// the same name.
fn encode(volume: &str) -> Result<String, BackendError> {
    let mut name = String::with_capacity(volume.len() + 8);
    for (index, byte) in volume.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(byte as char),
            b'.' if index > 0 => name.push('.'),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    if name.is_empty() || name.len() > NAME_LIMIT_BYTES {
        return Err(BackendError::new(format!(
            "volume '{volume}': expected a name of 1 to {NAME_LIMIT_BYTES} bytes"
        )));
    }
    Ok(name)
}

fn decode(name: &str) -> String {
    percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn names_stay_in_the_folder_and_differ() {
        let ids = [
            "local:100/vm-100-disk-0.qcow2",
            "local:100_vm-100-disk-0.qcow2",
            "../../etc/passwd",
            "..",
            ".partial-x",
            "a%3Ab",
            "a:b",
            "é",
        ];
        let names: std::collections::BTreeSet<_> =
            ids.iter().map(|id| encode(id).unwrap()).collect();
        assert_eq!(names.len(), ids.len());
        for id in ids {
            let name = encode(id).unwrap();
            assert!(!name.contains('/') && !name.starts_with('.'), "{name}");
            assert_eq!(decode(&name), id);
        }
        assert!(encode("").is_err());
        assert!(encode(&"x".repeat(241)).is_err());
    }
}
