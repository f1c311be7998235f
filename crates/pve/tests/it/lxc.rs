//! Containers over the wire, and the odd spellings that they are read in.

use pve::VmId;
use pve::lxc::{
    CloneRequest, ConfigChange, CreateRequest, DeleteRequest, Lxc, MigrateRequest,
    MoveVolumeRequest, RestoreRequest, ShutdownRequest,
};
use pve::property::DiskSize;

use crate::server::{Server, assert_last, data, soon};

const UPID: &str = "UPID:pve1:0000314F:000AB8AD:6B007E7F:vzx:300:root@pam!full:";

fn vmid(id: u32) -> VmId {
    VmId::new(id).unwrap()
}

async fn container() -> (Server, Lxc) {
    let server = Server::start(|_| data(&format!("\"{UPID}\""))).await;
    let lxc = server.client().node("pve1").lxc(vmid(300));
    (server, lxc)
}

#[tokio::test]
async fn a_container_is_made_with_the_id_of_its_handle() {
    let (server, lxc) = container().await;
    let request = CreateRequest::new("local:vztmpl/a.tar.zst")
        .rootfs("local:1")
        .net(0, "name=eth0,bridge=vmbr0")
        .memory(512)
        .memory(256)
        .unprivileged(true)
        .password("secret12")
        .extra("new-in-10", 1);
    assert!(!format!("{request:?}").contains("secret12"));
    soon(lxc.create(&request)).await.unwrap();
    assert_last(
        &server,
        "POST nodes/pve1/lxc",
        "vmid=300&ostemplate=local%3Avztmpl%2Fa.tar.zst&rootfs=local%3A1\
         &net0=name%3Deth0%2Cbridge%3Dvmbr0&memory=256&unprivileged=1&password=secret12&new-in-10=1",
    );
    let restore = RestoreRequest::new("local:backup/x.tar.zst").force(true).storage("local");
    soon(lxc.restore(&restore)).await.unwrap();
    assert_last(
        &server,
        "POST nodes/pve1/lxc",
        "vmid=300&restore=1&ostemplate=local%3Abackup%2Fx.tar.zst&force=1&storage=local",
    );
}

#[tokio::test]
async fn everything_that_a_container_can_do_is_a_call() {
    let (server, lxc) = container().await;
    soon(lxc.clone_to(&CloneRequest::new(vmid(301)).hostname("b").full(false))).await.unwrap();
    assert_last(&server, "POST nodes/pve1/lxc/300/clone", "newid=301&hostname=b&full=0");
    soon(lxc.migrate(&MigrateRequest::new("pve2").restart(true).timeout(9))).await.unwrap();
    assert_last(&server, "POST nodes/pve1/lxc/300/migrate", "target=pve2&restart=1&timeout=9");
    let moved = MoveVolumeRequest::new("mp0").target_vmid(vmid(302)).target_volume("mp1");
    soon(lxc.move_volume(&moved)).await.unwrap();
    assert_last(
        &server,
        "POST nodes/pve1/lxc/300/move_volume",
        "volume=mp0&target-vmid=302&target-volume=mp1",
    );
    soon(lxc.resize("rootfs", DiskSize::from_gib(2), None)).await.unwrap();
    assert_last(&server, "PUT nodes/pve1/lxc/300/resize", "disk=rootfs&size=2G");
    soon(lxc.shutdown(&ShutdownRequest::new().timeout(5).force_stop(true))).await.unwrap();
    assert_last(&server, "POST nodes/pve1/lxc/300/status/shutdown", "timeout=5&forceStop=1");
    soon(lxc.reboot(Some(3))).await.unwrap();
    assert_last(&server, "POST nodes/pve1/lxc/300/status/reboot", "timeout=3");
    soon(lxc.create_snapshot("one", Some("x"))).await.unwrap();
    assert_last(&server, "POST nodes/pve1/lxc/300/snapshot", "snapname=one&description=x");
    soon(lxc.snapshot("one").rollback(true)).await.unwrap();
    assert_last(&server, "POST nodes/pve1/lxc/300/snapshot/one/rollback", "start=1");
    soon(lxc.configure(&ConfigChange::new().set("memory", 64).delete("mp0"))).await.unwrap();
    assert_last(&server, "PUT nodes/pve1/lxc/300/config", "memory=64&delete=mp0");
    soon(lxc.delete(&DeleteRequest::new().force(true).purge(true))).await.unwrap();
    assert_last(&server, "DELETE nodes/pve1/lxc/300?force=1&purge=1", "");
    for (call, expected) in [(true, "start"), (false, "stop")] {
        let result = match call {
            true => soon(lxc.start()).await,
            false => soon(lxc.stop()).await,
        };
        assert_eq!(result.unwrap().kind(), "vzx");
        assert_last(&server, &format!("POST nodes/pve1/lxc/300/status/{expected}"), "");
    }
}

#[tokio::test]
async fn odd_spellings_of_containers_are_read() {
    let server = Server::scripted([
        // A text as the id, a text as the process, null and empty pressure.
        data(
            r#"[{"vmid":"300","status":"running","cpus":"2","name":"a","template":"","pid":"7",
                 "pressurecpusome":null}]"#,
        ),
        data(r#"{"vmid":300,"status":"stopped","ha":{"managed":"0"},"pid":null,"cpu":"0.5"}"#),
        data("null"),
        data("[]"),
    ])
    .await;
    let node = server.client().node("pve1");
    let list = soon(node.lxc_list()).await.unwrap();
    assert_eq!((list[0].vmid, list[0].cpus), (Some(vmid(300)), Some(2.0)));
    assert!(!list[0].template && list[0].extra.contains_key("pressurecpusome"));
    let lxc = node.lxc(vmid(300));
    let status = soon(lxc.status()).await.unwrap();
    assert_eq!((status.pid, status.cpu, status.ha.managed), (None, Some(0.5), false));
    assert!(!status.is_running());
    assert_eq!(soon(lxc.make_template()).await.unwrap(), None);
    assert!(soon(lxc.interfaces()).await.unwrap().is_empty());
}
