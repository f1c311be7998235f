//! What goes over the wire.

use pve::error::Kind;
use pve::firewall::Rule;
use pve::nodes::Node;
use pve::property::DiskSize;
use pve::qemu::{CloneRequest, ConfigChange, DeleteRequest, ShutdownRequest};
use pve::tasks::{TaskFilter, TaskSource};
use pve::{Client, Method, Params, VmId};

use crate::server::{Act, Request, Server, answer, assert_last, data, line, refuse, soon};

const UPID: &str = "UPID:pve1:0000314F:000AB8AD:6B007E7F:qmx:505:root@pam!full:";

fn vmid(id: u32) -> VmId {
    VmId::new(id).unwrap()
}

async fn server() -> (Server, Node) {
    let server = Server::start(|_| data(&format!("\"{UPID}\""))).await;
    let node = server.client().node("pve1");
    (server, node)
}

#[tokio::test]
async fn reads_and_deletes_use_the_query_and_writes_a_form() {
    let (server, node) = server().await;
    let vm = node.qemu(vmid(100));
    soon(vm.delete(DeleteRequest {
        purge: true,
        destroy_unreferenced_disks: Some(false),
        skiplock: false,
    }))
    .await
    .unwrap();
    assert_last(&server, "DELETE nodes/pve1/qemu/100?purge=1&destroy-unreferenced-disks=0", "");
    let last = server.requests().pop().unwrap();
    assert_eq!(last.header("content-length").unwrap_or("0"), "0");
    assert_eq!(last.header("content-type"), None);

    let mut clone = CloneRequest::new(vmid(101));
    clone.full = Some(true);
    clone.description = Some("innkeeper/1 a+b=c; d".into());
    soon(vm.clone_to(&clone)).await.unwrap();
    assert_last(
        &server,
        "POST nodes/pve1/qemu/100/clone",
        "newid=101&description=innkeeper%2F1%20a%2Bb%3Dc%3B%20d&full=1",
    );
    let last = server.requests().pop().unwrap();
    assert_eq!(last.header("content-type"), Some("application/x-www-form-urlencoded"));
}

#[tokio::test]
async fn empty_writes_have_a_length_and_no_type() {
    let (server, node) = server().await;
    soon(node.qemu(vmid(100)).start()).await.unwrap();
    assert_last(&server, "POST nodes/pve1/qemu/100/status/start", "");
    let last = server.requests().pop().unwrap();
    assert_eq!(last.header("content-length"), Some("0"));
    assert_eq!(last.header("content-type"), None);
    assert_eq!(last.header("transfer-encoding"), None);
    assert_eq!(last.header("authorization"), Some("PVEAPIToken=root@pam!test=00000000-secret"));
    assert_eq!(last.header("csrfpreventiontoken"), None);
    assert!(last.header("user-agent").unwrap().starts_with("innkeeper-pve/"));
}

#[tokio::test]
async fn connections_are_used_again() {
    let (server, node) = server().await;
    for _ in 0..5 {
        soon(node.qemu(vmid(100)).start()).await.unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (5, 1));
}

#[tokio::test]
async fn ids_are_encoded_in_paths() {
    let (server, node) = server().await;
    let storage = node.storage("local");
    soon(storage.delete("local:500/vm-500-disk-0.qcow2")).await.unwrap();
    assert_last(
        &server,
        "DELETE nodes/pve1/storage/local/content/local%3A500%2Fvm-500-disk-0.qcow2",
        "",
    );
    let size = DiskSize::from_gib(1);
    soon(storage.allocate(vmid(500), "vm-500-a.raw", size, Some("raw"))).await.unwrap();
    assert_last(
        &server,
        "POST nodes/pve1/storage/local/content",
        "vmid=500&filename=vm-500-a.raw&size=1024M&format=raw",
    );
    let size = DiskSize::from_bytes(1025);
    soon(storage.allocate(vmid(500), "x", size, None)).await.unwrap();
    assert!(line(&server).1.ends_with("size=2"));
    let upid = UPID.parse().unwrap();
    soon(server.client().task(&upid).stop()).await.unwrap();
    let encoded = UPID.replace(':', "%3A").replace('@', "%40").replace('!', "%21");
    assert_last(&server, &format!("DELETE nodes/pve1/tasks/{encoded}"), "");
}

#[tokio::test]
async fn power_calls() {
    let (server, node) = server().await;
    let vm = node.qemu(vmid(100));
    soon(vm.shutdown(ShutdownRequest { timeout_s: Some(30), force_stop: true })).await.unwrap();
    assert_last(&server, "POST nodes/pve1/qemu/100/status/shutdown", "timeout=30&forceStop=1");
    soon(vm.reboot(None)).await.unwrap();
    assert_last(&server, "POST nodes/pve1/qemu/100/status/reboot", "");
    soon(vm.suspend(true)).await.unwrap();
    assert_last(&server, "POST nodes/pve1/qemu/100/status/suspend", "todisk=1");
}

#[tokio::test]
async fn configuration_calls() {
    let (server, node) = server().await;
    let vm = node.qemu(vmid(100));
    let change = ConfigChange::new().set("boot", "order=scsi0;net0").digest("ab");
    soon(vm.configure(&change)).await.unwrap();
    assert_last(&server, "PUT nodes/pve1/qemu/100/config", "boot=order%3Dscsi0%3Bnet0&digest=ab");
    soon(vm.configure_task(&change)).await.unwrap();
    assert!(line(&server).0.starts_with("POST "));
    soon(vm.resize("scsi0", DiskSize::from_gib(8), Some("ab"))).await.unwrap();
    assert_last(&server, "PUT nodes/pve1/qemu/100/resize", "disk=scsi0&size=8G&digest=ab");
    soon(vm.unlink(&["unused0", "unused1"], true)).await.unwrap();
    assert_last(&server, "PUT nodes/pve1/qemu/100/unlink", "idlist=unused0%2Cunused1&force=1");
    soon(vm.snapshot("one").rollback(true)).await.unwrap();
    assert_last(&server, "POST nodes/pve1/qemu/100/snapshot/one/rollback", "start=1");
}

#[tokio::test]
async fn firewall_calls() {
    let (server, node) = server().await;
    let rules = node.qemu(vmid(100)).firewall().rules();
    let mut rule = Rule::new("in", "ACCEPT");
    rule.dport = Some("22".into());
    soon(rules.create(&rule, None, Some("ab"))).await.unwrap();
    assert_last(
        &server,
        "POST nodes/pve1/qemu/100/firewall/rules",
        "type=in&action=ACCEPT&enable=1&dport=22&digest=ab",
    );
    soon(rules.delete(3, Some("ab"))).await.unwrap();
    assert_last(&server, "DELETE nodes/pve1/qemu/100/firewall/rules/3?digest=ab", "");
    soon(rules.update(3, &rule, None)).await.unwrap();
    assert_last(
        &server,
        "PUT nodes/pve1/qemu/100/firewall/rules/3",
        "type=in&action=ACCEPT&enable=1&dport=22&delete=iface%2Cmacro%2Csource%2Cdest%2Cproto%2Csport%2Cicmp-type%2Clog%2Ccomment",
    );
    let group = server.client().cluster().firewall().group_rules("web");
    soon(group.create(&rule, Some(0), None)).await.unwrap();
    assert!(line(&server).0.ends_with("/cluster/firewall/groups/web"));
}

#[tokio::test]
async fn task_filters() {
    let server = Server::start(|_| data("[]")).await;
    let filter = TaskFilter {
        vmid: Some(vmid(100)),
        source: Some(TaskSource::All),
        since: Some(1_795_000_000),
        kind: Some("qmclone".into()),
        limit: Some(500),
        ..TaskFilter::default()
    };
    soon(server.client().node("pve1").tasks(&filter)).await.unwrap();
    assert_last(
        &server,
        "GET nodes/pve1/tasks?vmid=100&source=all&since=1795000000&typefilter=qmclone&limit=500",
        "",
    );
}

#[tokio::test]
async fn agent_calls() {
    let server = Server::start(|request: &Request| match request.target.as_str() {
        target if target.ends_with("exec") => data(r#"{"pid":"77"}"#),
        _ => data("null"),
    })
    .await;
    let agent = server.client().node("pve1").qemu(vmid(100)).agent();
    let pid = soon(agent.exec(&["echo", "a b"], Some("in".into()))).await.unwrap();
    assert_eq!(pid, 77);
    assert_last(
        &server,
        "POST nodes/pve1/qemu/100/agent/exec",
        "command=echo&command=a%20b&input-data=in",
    );
    soon(agent.file_write("/tmp/x", b"\xff\x00")).await.unwrap();
    assert_last(
        &server,
        "POST nodes/pve1/qemu/100/agent/file-write",
        "file=%2Ftmp%2Fx&content=%2FwA%3D&encode=0",
    );
}

#[tokio::test]
async fn anything_else_goes_through_request() {
    let server = Server::start(|_| data("[{\"zone\":\"z\"}]")).await;
    let client = server.client();
    let zones = soon(client.request(Method::GET, "cluster/sdn/zones", ())).await.unwrap();
    assert_eq!(zones.value().unwrap()[0]["zone"], "z");
    let vm = client.node("pve1").qemu(vmid(100));
    let params = Params::new().set("timeframe", "hour");
    soon(vm.request(Method::GET, "rrddata", params)).await.unwrap();
    assert_last(&server, "GET nodes/pve1/qemu/100/rrddata?timeframe=hour", "");
}

#[tokio::test]
async fn compressed_answers_are_read_and_limited_by_their_true_size() {
    let server = Server::start(|request| {
        assert!(request.header("accept-encoding").is_some_and(|v| v.contains("gzip")));
        let body = gzip_stored(br#"{"data":{"version":"8.4.21"}}"#);
        let mut bytes = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        bytes.extend(body);
        Act::Send(bytes)
    })
    .await;
    let version = soon(server.client().version()).await.unwrap();
    assert_eq!(version.numbers(), Some((8, 4)));
    let mut config = server.config();
    config.body_limit = 20;
    let client = Client::new(config).unwrap();
    let error = soon(client.version()).await.unwrap_err();
    assert!(error.to_string().contains("too large"), "{error}");
}

/// A gzip member that stores its content as it is.
fn gzip_stored(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap();
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    out.extend(length.to_le_bytes());
    out.extend((!length).to_le_bytes());
    out.extend(content);
    let mut crc = !0_u32;
    for byte in content {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    out.extend((!crc).to_le_bytes());
    out.extend(u32::from(length).to_le_bytes());
    out
}

#[tokio::test]
async fn free_ids() {
    let taken = r#"{"data":null,"message":"Parameter verification failed.\n","errors":{"vmid":"VM 102 already exists"}}"#;
    let server = Server::scripted([
        data("\"103\""),
        data("\"987654\""),
        Act::Send(answer(400, "Parameter verification failed.", taken)),
        refuse(500, "something else"),
    ])
    .await;
    let cluster = server.client().cluster();
    assert_eq!(soon(cluster.next_id()).await.unwrap(), vmid(103));
    assert!(soon(cluster.is_free(vmid(987_654))).await.unwrap());
    assert!(!soon(cluster.is_free(vmid(102))).await.unwrap());
    let error = soon(cluster.is_free(vmid(102))).await.unwrap_err();
    assert_eq!(error.kind(), Some(&Kind::Other));
}

#[tokio::test]
async fn quorum_is_read_from_the_status() {
    let node = r#"{"type":"node","name":"pve1","online":1,"local":"1"}"#;
    let down = r#"{"type":"node","name":"pve2","online":0}"#;
    let server = Server::scripted([
        data(&format!("[{node}]")),
        data(&format!("[{{\"type\":\"cluster\",\"name\":\"c\",\"quorate\":\"1\"}},{node},{down}]")),
        data(r#"[{"type":"cluster","name":"c","quorate":0}]"#),
        data(r#"[{"type":"cluster","name":"c"}]"#),
    ])
    .await;
    let cluster = server.client().cluster();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let status = soon(cluster.status()).await.unwrap();
        seen.push((status.is_quorate(), status.all_online()));
    }
    assert_eq!(seen, [(true, true), (true, false), (false, true), (false, true)]);
}
