#![allow(clippy::unwrap_used)]
use super::*;
use crate::VmId;

fn vmid(id: u32) -> VmId {
    VmId::new(id).unwrap()
}

#[track_caller]
fn assert_kinds(kinds: impl IntoIterator<Item = (&'static str, Kind)>) {
    for (text, kind) in kinds {
        assert_eq!(Kind::of_text(text), kind, "{text}");
    }
}

#[test]
fn what_is_missing_is_told_apart() {
    let missing = Kind::Missing;
    assert_kinds([
        (
            "Configuration file 'nodes/pve1/qemu-server/500.conf' does not exist\n",
            missing(Missing::Guest(vmid(500))),
        ),
        (
            "Configuration file 'nodes/pve1/lxc/300.conf' does not exist",
            missing(Missing::Guest(vmid(300))),
        ),
        (
            "unable to find configuration file for VM 500 on node 'pve1'",
            missing(Missing::Guest(vmid(500))),
        ),
        ("storage 'nosuch' does not exist", missing(Missing::Storage("nosuch".into()))),
        (
            "delete pool failed: pool 'rec-pool' does not exist",
            missing(Missing::Pool("rec-pool".into())),
        ),
        (
            "Permission check failed (pool 'nosuchpool' does not exist)",
            missing(Missing::Pool("nosuchpool".into())),
        ),
        ("snapshot 'zz' does not exist", missing(Missing::Snapshot("zz".into()))),
        ("no such cluster node 'pve2'", missing(Missing::Node("pve2".into()))),
        ("no such security group 'nosuch'", missing(Missing::Other)),
        ("disk 'scsi9' does not exist", missing(Missing::Other)),
        ("no rule at position 9", missing(Missing::Other)),
        ("no such user ('nosuch@pve')", missing(Missing::Other)),
    ]);
}

#[test]
fn taken_names_are_known() {
    assert_kinds([
        ("unable to create VM 790 - VM 790 already exists on node 'pve1'", Kind::AlreadyExists),
        ("unable to create VM 791: config file already exists", Kind::AlreadyExists),
        ("create storage failed: storage ID 'x' already defined", Kind::AlreadyExists),
        ("error with cfs lock 'file-user_cfg': user 'x@pve' already exists", Kind::AlreadyExists),
    ]);
}

#[test]
fn locks_and_outages_are_known() {
    assert_kinds([
        ("VM is locked (clone)", Kind::Busy(Lock::Guest("clone".into()))),
        ("CT is locked (backup)", Kind::Busy(Lock::Guest("backup".into()))),
        (
            "can't lock file '/var/lock/qemu-server/lock-102.conf' - got timeout",
            Kind::Busy(Lock::File("/var/lock/qemu-server/lock-102.conf".into())),
        ),
        (
            "cfs-lock 'storage-local' error: got lock request timeout",
            Kind::Busy(Lock::Cluster("storage-local".into())),
        ),
        ("cluster not ready - no quorum?", Kind::Unavailable),
        ("cfs-lock 'file-user_cfg' error: no quorum!", Kind::Unavailable),
        (
            "hostname lookup 'nope' failed - failed to get address info for: nope: ...",
            Kind::Unavailable,
        ),
    ]);
}

#[test]
fn other_texts_have_their_meaning() {
    assert_kinds([
        ("checksum mismatch (file change by other user?)", Kind::DigestMismatch),
        (
            "detected modified configuration - file changed by other user? Try again.",
            Kind::DigestMismatch,
        ),
        ("No QEMU guest agent configured", Kind::AgentNotConfigured),
        ("QEMU guest agent is not running", Kind::AgentNotRunning),
        (
            "Agent error: failed to open file '/no/such' (mode: 'r'): No such file or directory",
            Kind::Agent,
        ),
        ("VM 102 is not running", Kind::NotRunning),
        ("VM 102 not running", Kind::NotRunning),
        ("VM 102 already running", Kind::AlreadyRunning),
        (
            "base volume 'local:100/base-100-disk-0.qcow2' is still in use by linked cloned",
            Kind::InUse,
        ),
        ("VM 102 is running - destroy failed", Kind::Other),
        ("Permission check failed", Kind::Forbidden(None)),
        (
            "Permission check failed (mount point type bind is only allowed for root@pam)",
            Kind::Forbidden(None),
        ),
    ]);
}

#[test]
fn privileges_are_read_from_the_text() {
    let Kind::Forbidden(Some(check)) =
        Kind::of_text("Permission check failed (/vms/1, VM.Config.Disk|VM.Config.CDROM)")
    else {
        panic!("no check");
    };
    assert_eq!(check.path, "/vms/1");
    assert_eq!(check.privileges, "VM.Config.Disk|VM.Config.CDROM");
}

#[test]
fn refused_parameters_may_mean_something_else() {
    let of =
        |text: &str| Kind::of_answer(400, "Parameter verification failed.", [text].into_iter());
    assert_eq!(of("VM 102 already exists"), Kind::AlreadyExists);
    assert_eq!(of("no such task"), Kind::Missing(Missing::Task));
    assert_eq!(of("type check ('boolean') failed"), Kind::InvalidParameters);
    assert_eq!(
        Kind::of_answer(501, "Method 'GET /nope' not implemented", [].into_iter()),
        Kind::NotImplemented
    );
}

#[test]
fn display_never_repeats_the_source() {
    let call = Call { method: Method::POST, path: "x".into() };
    let error = Error::NotSent {
        call,
        source: Transport { kind: TransportKind::Connect, detail: "refused by the wall".into() },
    };
    assert!(!error.to_string().contains("wall"));
    assert_eq!(error.was_sent(), Sent::No);
}
