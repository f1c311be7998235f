//! Virtual machines and containers.

use pve::VmId;
use pve::firewall::{GuestFirewall, Rule};
use pve::lxc::{self, Lxc};
use pve::qemu::{
    CloneRequest, ConfigChange, DeleteRequest, MigrateRequest, MoveDiskRequest, Qemu,
    ShutdownRequest,
};

use super::Typed;

pub async fn qemu(vm: &Qemu, method: &str, rest: &[&str]) -> Typed {
    match rest {
        ["agent", rest @ ..] => agent(vm, method, rest).await,
        ["status", ..] => qemu_power(vm, method, rest).await,
        ["snapshot", rest @ ..] => qemu_snapshots(vm, method, rest).await,
        ["firewall", rest @ ..] => firewall(&vm.firewall(), method, rest).await,
        _ => qemu_other(vm, method, rest).await,
    }
}

async fn qemu_other(vm: &Qemu, method: &str, rest: &[&str]) -> Typed {
    let change = ConfigChange::new();
    let result = match (method, rest) {
        ("DELETE", []) => vm.delete(DeleteRequest::default()).await.map(drop),
        ("GET", ["config"]) => match vm.config().await {
            Ok(config) => {
                config.nics().unwrap();
                config.volumes().unwrap();
                Ok(())
            }
            Err(error) => Err(error),
        },
        ("PUT", ["config"]) => vm.configure(&change).await,
        ("POST", ["config"]) => vm.configure_task(&change).await.map(drop),
        ("GET", ["pending"]) => vm.pending().await.map(drop),
        ("GET", ["cloudinit"]) => vm.cloudinit().await.map(drop),
        ("PUT", ["cloudinit"]) => vm.regenerate_cloudinit().await,
        ("GET", ["cloudinit", "dump"]) => vm.cloudinit_dump("user").await.map(drop),
        ("GET", ["rrddata"]) => vm.rrd_data("hour", None).await.map(drop),
        ("PUT", ["sendkey"]) => vm.send_key("x").await,
        ("POST", ["monitor"]) => vm.monitor("info").await.map(drop),
        ("GET", ["migrate"]) => vm.migrate_check(None).await.map(drop),
        ("POST", ["migrate"]) => vm.migrate(&MigrateRequest::default()).await.map(drop),
        ("POST", ["clone"]) => vm.clone_to(&CloneRequest::new(VmId::new(501)?)).await.map(drop),
        ("GET", ["feature"]) => vm.feature("clone").await.map(drop),
        ("POST", ["template"]) => vm.make_template().await.map(drop),
        ("PUT", ["resize"]) => vm.resize("scsi0", "+1G", None).await.map(drop),
        ("POST", ["move_disk"]) => vm.move_disk(&MoveDiskRequest::default()).await.map(drop),
        ("PUT", ["unlink"]) => vm.unlink(&["unused0"], false).await,
        _ => return None,
    };
    Some(result)
}

async fn qemu_power(vm: &Qemu, method: &str, rest: &[&str]) -> Typed {
    let result = match (method, rest) {
        ("GET", ["status", "current"]) => vm.status().await.map(drop),
        ("POST", ["status", "start"]) => vm.start().await.map(drop),
        ("POST", ["status", "stop"]) => vm.stop().await.map(drop),
        ("POST", ["status", "shutdown"]) => vm.shutdown(ShutdownRequest::default()).await.map(drop),
        ("POST", ["status", "reboot"]) => vm.reboot(None).await.map(drop),
        ("POST", ["status", "reset"]) => vm.reset().await.map(drop),
        ("POST", ["status", "suspend"]) => vm.suspend(false).await.map(drop),
        ("POST", ["status", "resume"]) => vm.resume().await.map(drop),
        _ => return None,
    };
    Some(result)
}

async fn qemu_snapshots(vm: &Qemu, method: &str, rest: &[&str]) -> Typed {
    let result = match (method, rest) {
        ("GET", []) => vm.snapshots().await.map(drop),
        ("POST", []) => vm.create_snapshot("x", None, false).await.map(drop),
        ("DELETE", [name]) => vm.snapshot(name).delete(false).await.map(drop),
        ("GET", [name, "config"]) => vm.snapshot(name).config().await.map(drop),
        ("PUT", [name, "config"]) => vm.snapshot(name).describe("x").await,
        ("POST", [name, "rollback"]) => vm.snapshot(name).rollback(false).await.map(drop),
        _ => return None,
    };
    Some(result)
}

async fn agent(vm: &Qemu, method: &str, rest: &[&str]) -> Typed {
    let agent = vm.agent();
    let result = match (method, rest) {
        ("POST", ["ping"]) => agent.ping().await,
        ("GET", ["network-get-interfaces"]) => agent.network_interfaces().await.map(drop),
        ("GET", ["get-osinfo"]) => agent.os_info().await.map(drop),
        ("POST", ["exec"]) => agent.exec(&["x"], None).await.map(drop),
        ("GET", ["exec-status"]) => agent.exec_status(1).await.map(drop),
        ("GET", ["file-read"]) => agent.file_read("x").await.map(drop),
        ("POST", ["file-write"]) => agent.file_write("x", b"").await,
        ("GET", ["info"]) => agent.info().await.map(drop),
        ("GET", ["get-host-name"]) => agent.host_name().await.map(drop),
        ("GET", ["get-fsinfo"]) => agent.filesystems().await.map(drop),
        ("GET", ["get-users"]) => agent.users().await.map(drop),
        ("GET", ["get-time"]) => agent.time().await.map(drop),
        ("GET", [command @ ("get-vcpus" | "get-timezone" | "get-memory-block-info")]) => {
            agent.query(command).await.map(drop)
        }
        ("POST", ["fsfreeze-status"]) => agent.freeze_status().await.map(drop),
        ("POST", ["set-user-password"]) => {
            agent.set_user_password("x", "12345678".into(), false).await
        }
        _ => return None,
    };
    Some(result)
}

async fn firewall(firewall: &GuestFirewall, method: &str, rest: &[&str]) -> Typed {
    let rules = firewall.rules();
    let rule = Rule::new("in", "ACCEPT");
    let result = match (method, rest) {
        ("GET", ["options"]) => firewall.options().await.map(drop),
        ("PUT", ["options"]) => firewall.set_options(()).await,
        ("GET", ["rules"]) => rules.list().await.map(drop),
        ("POST", ["rules"]) => rules.create(&rule, None, None).await,
        ("PUT", ["rules", pos]) => rules.update(pos.parse().ok()?, &rule, None).await,
        ("DELETE", ["rules", pos]) => rules.delete(pos.parse().ok()?, None).await,
        ("GET", ["aliases"]) => firewall.aliases().await.map(drop),
        ("POST", ["aliases"]) => firewall.create_alias("x", "10.0.0.0/8", None).await,
        ("DELETE", ["aliases", name]) => firewall.delete_alias(name).await,
        ("GET", ["ipset"]) => firewall.ip_sets().await.map(drop),
        ("POST", ["ipset"]) => firewall.create_ip_set("x", None).await,
        ("GET", ["ipset", name]) => firewall.ip_set(name).list().await.map(drop),
        ("POST", ["ipset", name]) => firewall.ip_set(name).add("10.0.0.0/8", false, None).await,
        ("DELETE", ["ipset", name]) => firewall.ip_set(name).delete(true).await,
        ("GET", ["refs"]) => firewall.refs().await.map(drop),
        ("GET", ["log"]) => firewall.log(0, 50).await.map(drop),
        _ => return None,
    };
    Some(result)
}

pub async fn lxc(lxc: &Lxc, method: &str, rest: &[&str]) -> Typed {
    let result = match (method, rest) {
        ("DELETE", []) => lxc.delete(&lxc::DeleteRequest::new()).await.map(drop),
        ("GET", ["config"]) => match lxc.config().await {
            Ok(config) => {
                config.nics().unwrap();
                config.mount_points().unwrap();
                config.rootfs().unwrap();
                Ok(())
            }
            Err(error) => Err(error),
        },
        ("PUT", ["config"]) => lxc.configure(&ConfigChange::new()).await.map(drop),
        ("GET", ["pending"]) => lxc.pending().await.map(drop),
        ("GET", ["feature"]) => lxc.feature("clone").await.map(drop),
        ("GET", ["interfaces"]) => lxc.interfaces().await.map(drop),
        ("GET", ["rrddata"]) => lxc.rrd_data("hour", None).await.map(drop),
        ("POST", ["clone"]) => {
            lxc.clone_to(&lxc::CloneRequest::new(VmId::new(501)?)).await.map(drop)
        }
        ("POST", ["template"]) => lxc.make_template().await.map(drop),
        ("POST", ["move_volume"]) => {
            lxc.move_volume(&lxc::MoveVolumeRequest::new("mp0")).await.map(drop)
        }
        ("PUT", ["resize"]) => lxc.resize("rootfs", "+1G", None).await.map(drop),
        ("GET", ["snapshot"]) => lxc.snapshots().await.map(drop),
        ("POST", ["snapshot"]) => lxc.create_snapshot("x", None).await.map(drop),
        ("DELETE", ["snapshot", name]) => lxc.snapshot(name).delete(false).await.map(drop),
        ("POST", ["snapshot", name, "rollback"]) => {
            lxc.snapshot(name).rollback(false).await.map(drop)
        }
        ("GET", ["status", "current"]) => lxc.status().await.map(drop),
        ("POST", ["status", "start"]) => lxc.start().await.map(drop),
        ("POST", ["status", "stop"]) => lxc.stop().await.map(drop),
        ("POST", ["status", "shutdown"]) => {
            lxc.shutdown(&lxc::ShutdownRequest::new()).await.map(drop)
        }
        ("POST", ["status", "reboot"]) => lxc.reboot(None).await.map(drop),
        ("POST", ["status", "suspend"]) => lxc.suspend().await.map(drop),
        (_, ["firewall", rest @ ..]) => return firewall(&lxc.firewall(), method, rest).await,
        _ => return None,
    };
    Some(result)
}
