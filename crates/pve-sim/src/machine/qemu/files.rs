//! The state folder: who holds it, where things lie in it, and what a crashed
//! run left there.
//!
//! ```text
//! lock                  held while a backend is open
//! volumes/NAME          qcow2 files
//! guests/VMID/          console, log (QEMU's complaints) and pid
//! run/VMID.qmp, .qga    sockets; in /tmp when this path is too long for one
//! ```

use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::args::Places;
use super::error::QemuError;

/// `sockaddr_un` holds 108 bytes with the closing zero (unix(7)).
const SOCKET_PATH_BYTES: usize = 107;
/// The longest name of a socket here: `4294967295.qmp`.
const SOCKET_NAME_BYTES: usize = 14;

/// The state folder, locked until dropped.
#[derive(Debug)]
pub(super) struct StateFolder {
    root: PathBuf,
    sockets: PathBuf,
    /// The lock ends when this file is closed.
    _lock: File,
}

impl StateFolder {
    /// Locks the folder (made if need be), kills what a crashed run left behind
    /// and removes its files; volumes stay.
    pub(super) fn open(root: &Path) -> Result<Self, QemuError> {
        fs::create_dir_all(root).map_err(QemuError::file("cannot create the folder", root))?;
        let root = fs::canonicalize(root).map_err(QemuError::file("cannot use", root))?;
        let lock_path = root.join("lock");
        let lock = File::create(&lock_path)
            .map_err(QemuError::file("cannot create the lock", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(QemuError::InUse(root)),
            Err(fs::TryLockError::Error(error)) => {
                return Err(QemuError::file("cannot lock", lock_path)(error));
            }
        }
        let sockets = socket_folder(&root);
        let folder = Self { root, sockets, _lock: lock };
        folder.clear()?;
        Ok(folder)
    }

    fn clear(&self) -> Result<(), QemuError> {
        kill_leftovers(&self.guests());
        for stale in [self.guests(), self.sockets.clone()] {
            remove_tree(&stale)?;
        }
        let volumes = self.volumes();
        for folder in [&volumes, &self.guests()] {
            fs::create_dir_all(folder)
                .map_err(QemuError::file("cannot create the folder", folder))?;
        }
        private_folder(&self.sockets)?;
        let entries =
            fs::read_dir(&volumes).map_err(QemuError::file("cannot read the folder", &volumes))?;
        for entry in entries.flatten() {
            if is_partial(&entry.file_name().to_string_lossy()) {
                let path = entry.path();
                fs::remove_file(&path).map_err(QemuError::file("cannot remove", &path))?;
            }
        }
        Ok(())
    }

    pub(super) fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    fn guests(&self) -> PathBuf {
        self.root.join("guests")
    }

    pub(super) fn guest(&self, vmid: u32) -> PathBuf {
        self.guests().join(vmid.to_string())
    }

    pub(super) fn places(&self, vmid: u32) -> Places {
        let guest = self.guest(vmid);
        Places {
            qmp: self.sockets.join(format!("{vmid}.qmp")),
            agent: self.sockets.join(format!("{vmid}.qga")),
            console: guest.join("console"),
            pid: guest.join("pid"),
        }
    }

    pub(super) fn log(&self, vmid: u32) -> PathBuf {
        self.guest(vmid).join("log")
    }
}

impl Drop for StateFolder {
    fn drop(&mut self) {
        // Empty unless a guest is just dying; then the next start clears it.
        let _ = fs::remove_dir(&self.sockets);
    }
}

/// A volume that is being written; its name cannot be that of a volume, because
/// encoded names never start with a dot.
pub(super) fn is_partial(file_name: &str) -> bool {
    file_name.starts_with(".partial-")
}

fn remove_tree(path: &Path) -> Result<(), QemuError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(QemuError::file("cannot remove the folder", path)(error))
        }
        _ => Ok(()),
    }
}

/// `run/` below the root, or, when that is too long for a socket, a folder in
/// /tmp whose name follows from the root, so that the next run finds it.
fn socket_folder(root: &Path) -> PathBuf {
    let run = root.join("run");
    if run.as_os_str().len() + 1 + SOCKET_NAME_BYTES <= SOCKET_PATH_BYTES {
        return run;
    }
    let mut hasher = std::hash::DefaultHasher::new();
    root.hash(&mut hasher);
    PathBuf::from(format!("/tmp/pve-sim-{:016x}", hasher.finish()))
}

/// Nobody else may put a socket where we look for ours. The folder must not be
/// there yet: another user's would have made its removal fail.
fn private_folder(path: &Path) -> Result<(), QemuError> {
    fs::DirBuilder::new()
        .mode(0o700)
        .create(path)
        .map_err(QemuError::file("cannot create the folder", path))
}

/// Kills processes that belong to pid files below `guests`, if they are QEMUs
/// that write exactly these pid files and are ours.
fn kill_leftovers(guests: &Path) {
    let Ok(entries) = fs::read_dir(guests) else {
        return;
    };
    for entry in entries.flatten() {
        let file = entry.path().join("pid");
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        let Ok(pid) = text.trim().parse::<u32>() else {
            continue;
        };
        if is_our_qemu(pid, &file) {
            tracing::warn!(pid, "killing a guest that a crashed run left behind");
            kill_and_wait(pid, &file);
        }
    }
}

fn is_our_qemu(pid: u32, pid_file: &Path) -> bool {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let (Ok(theirs), Ok(ours)) = (fs::metadata(&process), fs::metadata("/proc/self")) else {
        return false;
    };
    let Ok(command_line) = fs::read(process.join("cmdline")) else {
        return false;
    };
    let words: Vec<&[u8]> = command_line.split(|byte| *byte == 0).collect();
    theirs.uid() == ours.uid()
        && words.windows(2).any(|pair| {
            pair[0] == b"-pidfile" && pair[1] == pid_file.as_os_str().as_encoded_bytes()
        })
}

/// The standard library kills only children, hence the shell.
fn kill_and_wait(pid: u32, pid_file: &Path) {
    let _ = std::process::Command::new("sh").args(["-c", &format!("kill -KILL {pid}")]).status();
    for _ in 0..200 {
        if !is_our_qemu(pid, pid_file) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_folder_serves_one_backend_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let first = StateFolder::open(root.path()).unwrap();
        assert!(matches!(StateFolder::open(root.path()).unwrap_err(), QemuError::InUse(_)));
        drop(first);
        StateFolder::open(root.path()).unwrap();
    }

    #[test]
    fn a_long_path_still_gives_short_sockets() {
        let root = tempfile::tempdir().unwrap();
        let long = root.path().join("x".repeat(120));
        let folder = StateFolder::open(&long).unwrap();
        let places = folder.places(u32::MAX);
        assert!(places.qmp.as_os_str().len() <= SOCKET_PATH_BYTES);
        assert!(places.qmp.parent().unwrap().is_dir());
        drop(folder);
        assert!(!places.qmp.parent().unwrap().exists());
    }

    /// A process that looks like QEMU in the two words that count.
    fn bystander(pid_file: &str) -> std::process::Child {
        let child = std::process::Command::new("sh")
            .args(["-c", "sleep 60; true", "-pidfile", pid_file])
            .spawn()
            .unwrap();
        // The kernel lets the parent go on a moment before the child's command
        // line can be read.
        let words = format!("/proc/{}/cmdline", child.id());
        while !fs::read_to_string(&words).unwrap().contains(pid_file) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        child
    }

    #[test]
    fn leftovers_are_killed_and_bystanders_are_not() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        let pid_file = |vmid: u32| root.join("guests").join(vmid.to_string()).join("pid");
        let mut ours = bystander(pid_file(100).to_str().unwrap());
        // The pid was reused by something that has another pid file.
        let mut other = bystander("/elsewhere/pid");
        for (vmid, child) in [(100, &ours), (101, &other)] {
            fs::create_dir_all(pid_file(vmid).parent().unwrap()).unwrap();
            fs::write(pid_file(vmid), format!("{}\n", child.id())).unwrap();
        }
        // Reaps the first when it dies; as a zombie it has no command line.
        let folder = StateFolder::open(&root).unwrap();
        assert!(!ours.wait().unwrap().success());
        assert!(other.try_wait().unwrap().is_none());
        assert!(!folder.guest(100).exists());
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn half_written_volumes_go_and_whole_ones_stay() {
        let root = tempfile::tempdir().unwrap();
        let volumes = root.path().join("volumes");
        fs::create_dir(&volumes).unwrap();
        fs::write(volumes.join(".partial-a"), "").unwrap();
        fs::write(volumes.join("local%3Aa"), "").unwrap();
        let _folder = StateFolder::open(root.path()).unwrap();
        assert!(!volumes.join(".partial-a").exists());
        assert!(volumes.join("local%3Aa").exists());
    }
}
