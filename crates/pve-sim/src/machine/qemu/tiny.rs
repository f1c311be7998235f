//! The tiny guest: built by the script in `guest/`, kept in a cache folder.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

use super::error::{QemuError, tail};
use crate::machine::DirectKernel;

macro_rules! embedded {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../../guest/", $name)))),*]
    };
}

/// The script with all that it copies into the guest.
const FILES: &[(&str, &str)] = embedded! {
    "build-tiny.sh"
    "cloud-config.awk"
    "rootfs/init"
    "rootfs/usr/lib/tiny/agent"
    "rootfs/usr/lib/tiny/cloud-init"
    "rootfs/usr/lib/tiny/dhcp"
    "rootfs/usr/lib/tiny/disk"
    "rootfs/usr/lib/tiny/functions"
    "rootfs/usr/lib/tiny/inittab"
    "rootfs/usr/lib/tiny/net"
    "rootfs/usr/lib/tiny/power"
    "rootfs/usr/lib/tiny/probe"
    "rootfs/usr/lib/tiny/seed"
    "rootfs/usr/lib/tiny/shutdown"
    "rootfs/usr/lib/tiny/ssh"
    "yaml.awk"
};

/// Reading the package index takes a second.
const KEY_WITHIN: Duration = Duration::from_secs(60);
/// Five seconds and the download of 33 MB.
const BUILD_WITHIN: Duration = Duration::from_secs(600);

/// A guest of 12 MB that boots in seconds, speaks SSH and the agent's protocol,
/// and reads a NoCloud seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TinyGuest {
    /// The unpacked kernel (or a bzImage where it cannot be unpacked).
    pub kernel: PathBuf,
    /// The initial RAM disk, which is the whole system.
    pub initrd: PathBuf,
    /// The kernel's command line.
    pub append: String,
}

impl From<TinyGuest> for DirectKernel {
    fn from(tiny: TinyGuest) -> Self {
        Self { kernel: tiny.kernel, initrd: Some(tiny.initrd), append: tiny.append }
    }
}

/// Builds the tiny guest from the distribution's packages, or finds it in the
/// cache: the same script and the same versions of the packages give the same
/// folder. Several processes may do this at once; one builds, the others wait.
/// `progress` gets a line per step.
///
/// # Errors
///
/// [`QemuError::Failed`] with the script's last lines, which name a missing
/// tool's package; [`QemuError::File`] for the cache folder;
/// [`QemuError::TooSlow`] after ten minutes.
pub async fn build_tiny(
    cache: &Path,
    mut progress: impl FnMut(&str) + Send,
) -> Result<TinyGuest, QemuError> {
    fs::create_dir_all(cache).map_err(QemuError::file("cannot create the folder", cache))?;
    let cache = fs::canonicalize(cache).map_err(QemuError::file("cannot use", cache))?;
    let _lock = lock(&cache, &mut progress).await?;
    clear_leftovers(&cache);
    let work = tempfile::Builder::new()
        .prefix(WORK_PREFIX)
        .tempdir_in(&cache)
        .map_err(QemuError::file("cannot create a folder in", &cache))?;
    let script = write_files(work.path())?;
    let key = run(&script, OsStr::new("--key"), KEY_WITHIN, |_| {}).await?;
    let finished = cache.join(format!("tiny-{}", key.trim()));
    if let Ok(guest) = read(&finished) {
        return Ok(guest);
    }
    progress("building the tiny guest");
    let out = work.path().join("out");
    run(&script, out.as_os_str(), BUILD_WITHIN, &mut progress).await?;
    read(&out)?;
    // Something incomplete may be in the way; nobody uses it.
    let _ = fs::remove_dir_all(&finished);
    fs::rename(&out, &finished).map_err(QemuError::file("cannot create the folder", &finished))?;
    read(&finished)
}

const WORK_PREFIX: &str = ".work-";

async fn lock(cache: &Path, progress: &mut (impl FnMut(&str) + Send)) -> Result<File, QemuError> {
    let path = cache.join("lock");
    let file = File::create(&path).map_err(QemuError::file("cannot create the lock", &path))?;
    let deadline = Instant::now() + BUILD_WITHIN;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::Error(error)) => {
                return Err(QemuError::file("cannot lock", path)(error));
            }
            Err(fs::TryLockError::WouldBlock) if Instant::now() < deadline => {
                if !told {
                    progress("waiting for another process that builds the tiny guest");
                    told = true;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(fs::TryLockError::WouldBlock) => return Err(QemuError::InUse(cache.into())),
        }
    }
}

/// Of builds that were killed; we hold the lock.
fn clear_leftovers(cache: &Path) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(WORK_PREFIX) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn write_files(folder: &Path) -> Result<PathBuf, QemuError> {
    for (name, text) in FILES {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, text))
            .map_err(QemuError::file("cannot write", &path))?;
    }
    Ok(folder.join("build-tiny.sh"))
}

fn read(folder: &Path) -> Result<TinyGuest, QemuError> {
    let append = folder.join("append");
    let text = fs::read_to_string(&append).map_err(QemuError::file("cannot read", append))?;
    for name in ["kernel", "initrd", "manifest"] {
        let path = folder.join(name);
        fs::metadata(&path).map_err(QemuError::file("cannot read", path))?;
    }
    Ok(TinyGuest {
        kernel: folder.join("kernel"),
        initrd: folder.join("initrd"),
        append: text.trim().to_owned(),
    })
}

/// Runs the script with one argument; returns what it printed.
async fn run(
    script: &Path,
    argument: &OsStr,
    within: Duration,
    mut progress: impl FnMut(&str) + Send,
) -> Result<String, QemuError> {
    let cannot_run = || QemuError::file("cannot run", script);
    let mut child = Command::new("sh")
        .arg(script)
        .arg(argument)
        .env("TMPDIR", script.parent().unwrap_or(script))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(cannot_run())?;
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    let talk = async {
        let mut printed = String::new();
        let mut complaints = String::new();
        let read_out = async {
            let mut lines = BufReader::new(stdout?).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                progress(&line);
                printed.push_str(&line);
                printed.push('\n');
            }
            Some(())
        };
        let read_err = async { stderr?.read_to_string(&mut complaints).await.ok() };
        tokio::join!(read_out, read_err);
        (child.wait().await, printed, complaints)
    };
    let (status, printed, complaints) = tokio::time::timeout(within, talk).await.map_err(|_| {
        QemuError::TooSlow { program: "build-tiny.sh".into(), seconds: within.as_secs() }
    })?;
    let status = status.map_err(cannot_run())?;
    if status.success() {
        return Ok(printed);
    }
    Err(QemuError::Failed {
        program: "build-tiny.sh".into(),
        status: status.to_string(),
        tail: tail(&format!("{printed}{complaints}"), 8),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn every_file_of_the_guest_is_embedded() {
        let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("guest");
        let mut folders = vec![guest.clone()];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(&guest).unwrap().to_str().unwrap();
                if path.is_dir() {
                    folders.push(path);
                } else if name != "flat.awk" {
                    found.push(name.to_owned());
                }
            }
        }
        found.sort();
        let mut embedded: Vec<_> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        embedded.sort();
        assert_eq!(embedded, found);
    }

    #[tokio::test]
    async fn a_failing_script_shows_its_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("build-tiny.sh");
        fs::write(&script, "echo step; echo 'cpio is missing' >&2; exit 3").unwrap();
        let mut steps = Vec::new();
        let error = run(&script, OsStr::new("x"), KEY_WITHIN, |line| {
            steps.push(line.to_owned());
        })
        .await
        .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("exit status: 3"), "{text}");
        assert!(text.contains("cpio is missing"), "{text}");
        assert_eq!(steps, ["step"]);
    }

    #[tokio::test]
    async fn a_script_that_hangs_is_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("build-tiny.sh");
        fs::write(&script, "exec sleep 60").unwrap();
        let within = Duration::from_millis(100);
        let error = run(&script, OsStr::new("x"), within, |_| {}).await.unwrap_err();
        assert!(matches!(error, QemuError::TooSlow { .. }), "{error}");
    }
}
