//! Starts QEMU such that it cannot outlive this process.
//!
//! `kill_on_drop` covers an orderly end only. After a crash or a SIGKILL the
//! kernel must do it: `setpriv --pdeathsig KILL` (util-linux, which Debian and
//! Ubuntu always have) asks for a signal at the parent's death and then becomes
//! QEMU. QEMU's own `-run-with exit-with-parent=on` does the same, but QEMU 7.2
//! (Debian 12) and 10.0 (Debian 13) do not know it. What slips through (this
//! process died between the fork and the request) is found by its pid file at
//! the next start, see [`super::files`].
//!
//! The kernel counts the death of the *thread* that forked. A worker of an
//! async runtime may end early, so one thread that lives as long as the backend
//! does all the forking.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc;

use tokio::process::{Child, Command};
use tokio::sync::oneshot;

struct Job {
    command: Command,
    runtime: tokio::runtime::Handle,
    reply: oneshot::Sender<io::Result<Child>>,
}

/// The thread that forks. Dropping it kills every child that it started.
pub(super) struct Spawner {
    jobs: mpsc::Sender<Job>,
    setpriv: PathBuf,
}

impl Spawner {
    pub(super) fn start(setpriv: PathBuf) -> io::Result<Self> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        std::thread::Builder::new().name("qemu-spawner".into()).spawn(move || {
            for mut job in inbox {
                let _inside = job.runtime.enter();
                // A receiver that is gone drops the child, which kills it.
                let _ = job.reply.send(job.command.spawn());
            }
        })?;
        Ok(Self { jobs, setpriv })
    }

    /// Starts a program whose standard error goes to `log`. It is killed when
    /// the [`Child`] is dropped and when this process ends in any way.
    pub(super) async fn spawn(
        &self,
        program: &Path,
        args: Vec<OsString>,
        log: std::fs::File,
    ) -> io::Result<Child> {
        let mut command = Command::new(&self.setpriv);
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        let (reply, answer) = oneshot::channel();
        let job = Job { command, runtime: tokio::runtime::Handle::current(), reply };
        let gone = || io::Error::other("the thread that starts guests has ended");
        self.jobs.send(job).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}
