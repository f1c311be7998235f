//! Whether KVM works here, found out by booting.
//!
//! A `/dev/kvm` proves nothing: inside some virtual machines it opens, QEMU
//! calls it present, and a stock kernel then hangs or dies within a second or a
//! minute. So the tiny guest is booted once with a small budget of time, and
//! has to finish a burst of work.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::backend::Programs;
use super::error::tail;
use super::spawn::Spawner;
use super::tiny::TinyGuest;

/// A healthy KVM needs about two of these seconds.
pub const PROBE_BUDGET: Duration = Duration::from_secs(5);
/// What the tiny guest prints when it has finished the work (guest/rootfs).
const PROBE_PASSED: &str = "tiny guest: probe passed";

/// How guests run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accel {
    /// By the processor's virtualisation.
    Kvm,
    /// By translation; works everywhere, ten times slower.
    Tcg,
}

impl Accel {
    pub(super) fn args(self) -> &'static [&'static str] {
        match self {
            Self::Kvm => &["-accel", "kvm", "-cpu", "host"],
            // QEMU's own limit for translated code is 1 GiB per guest.
            Self::Tcg => &["-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max"],
        }
    }
}

/// What [`probe_acceleration`] found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The fastest acceleration that works.
    pub accel: Accel,
    /// Why, as a clause for people: `/dev/kvm: Permission denied`.
    pub reason: String,
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    /// The verdict holds for this boot of this machine and this QEMU.
    basis: String,
    verdict: Verdict,
}

/// Boots the tiny guest with KVM unless the verdict is known from `memory`, a
/// file that is written afterwards. Never fails: whatever goes wrong speaks
/// for [`Accel::Tcg`] and is in the reason.
pub async fn probe_acceleration(
    programs: &Programs,
    tiny: &TinyGuest,
    budget: Duration,
    memory: &Path,
) -> Verdict {
    if let Err(error) = OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        // Cheap to find out again, and it changes when a group is joined.
        return Verdict { accel: Accel::Tcg, reason: format!("/dev/kvm: {error}") };
    }
    let basis = basis(programs, tiny);
    if let Some(verdict) = recall(memory, &basis) {
        return verdict;
    }
    let verdict = match boot(programs, tiny, Accel::Kvm, budget).await {
        Ok(()) => Verdict {
            accel: Accel::Kvm,
            reason: "the tiny guest booted with KVM and finished its work".into(),
        },
        Err(reason) => Verdict { accel: Accel::Tcg, reason },
    };
    let remembered = Remembered { basis, verdict: verdict.clone() };
    let written = serde_json::to_vec_pretty(&remembered)
        .map_err(std::io::Error::from)
        .and_then(|bytes| std::fs::write(memory, bytes));
    if let Err(error) = written {
        tracing::warn!(file = %memory.display(), %error, "the verdict on KVM is not remembered");
    }
    verdict
}

fn recall(memory: &Path, basis: &str) -> Option<Verdict> {
    let remembered: Remembered = serde_json::from_slice(&std::fs::read(memory).ok()?).ok()?;
    (remembered.basis == basis).then_some(remembered.verdict)
}

fn basis(programs: &Programs, tiny: &TinyGuest) -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let changed = std::fs::metadata(&programs.qemu)
        .and_then(|metadata| metadata.modified())
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default();
    let kernel = tiny.kernel.display();
    format!("{} {} {kernel}", boot.trim(), changed.as_secs())
}

/// Boots the tiny guest for a burst of work; the error says what it did instead.
pub(super) async fn boot(
    programs: &Programs,
    tiny: &TinyGuest,
    accel: Accel,
    budget: Duration,
) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("the probe cannot run: {error}");
    let folder = tempfile::tempdir().map_err(failed)?;
    let console = folder.path().join("console");
    let log = folder.path().join("log");
    let mut args: Vec<OsString> = ["-no-user-config", "-nodefaults", "-display", "none"]
        .iter()
        .chain(&["-machine", "q35", "-smp", "2", "-m", "256M", "-no-reboot"])
        .chain(accel.args())
        .map(OsString::from)
        .collect();
    let mut serial = OsString::from("file:");
    serial.push(&console);
    args.extend(["-serial".into(), serial]);
    args.extend(["-kernel".into(), tiny.kernel.clone().into()]);
    args.extend(["-initrd".into(), tiny.initrd.clone().into()]);
    args.extend(["-append".into(), format!("{} tiny.probe", tiny.append).into()]);
    let spawner = Spawner::start(programs.setpriv.clone()).map_err(failed)?;
    let complaints = std::fs::File::create(&log).map_err(failed)?;
    let mut child = spawner.spawn(&programs.qemu, args, complaints).await.map_err(failed)?;
    let ended = tokio::time::timeout(budget, child.wait()).await.is_ok();
    let _ = child.kill().await;
    let said = std::fs::read(&console).unwrap_or_default();
    if ended && String::from_utf8_lossy(&said).contains(PROBE_PASSED) {
        return Ok(());
    }
    let complaint = std::fs::read_to_string(&log).unwrap_or_default();
    Err(if ended {
        format!("a guest with KVM died while it booted: {}", tail(&complaint, 1))
    } else {
        format!("a guest with KVM did not come up within {} s", budget.as_secs())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_verdict_of_another_boot_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let memory = folder.path().join("kvm.json");
        assert_eq!(recall(&memory, "a"), None);
        let verdict = Verdict { accel: Accel::Kvm, reason: "it booted".into() };
        let remembered = Remembered { basis: "a".into(), verdict: verdict.clone() };
        std::fs::write(&memory, serde_json::to_vec(&remembered).unwrap()).unwrap();
        assert_eq!(recall(&memory, "a"), Some(verdict));
        assert_eq!(recall(&memory, "b"), None);
    }
}
