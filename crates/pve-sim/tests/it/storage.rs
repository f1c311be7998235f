//! Storages: configuration, uploads, downloads, volumes.

use crate::support::{Answer, Client, builder, default, raw, start};
use pve_sim::Version;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub async fn upload(
    client: &Client,
    fields: &[(&str, &str)],
    name: &str,
    content: &[u8],
) -> Answer {
    let mut body = Vec::new();
    for (field, value) in fields {
        body.extend(
            format!("--B\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n")
                .bytes(),
        );
    }
    body.extend(
        format!(
            "--B\r\nContent-Disposition: form-data; name=\"filename\"; filename=\"{name}\"\r\n\r\n"
        )
        .bytes(),
    );
    body.extend(content);
    body.extend(b"\r\n--B--\r\n");
    let mut request = format!(
        "POST /api2/json/nodes/pve1/storage/local/upload HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}Content-Type: multipart/form-data; boundary=B\r\nContent-Length: {}\r\n\r\n",
        client.auth,
        body.len()
    )
    .into_bytes();
    request.extend(body);
    raw(&client.simulator, &request).await.unwrap()
}

async fn exit(client: &Client, answer: Answer) -> String {
    client.simulator.settle().await;
    client.exit(answer.data().as_str().unwrap()).await
}

#[tokio::test]
async fn a_storage_is_defined_by_what_its_type_needs() {
    let client = default().await;
    let add = |body: &'static str| client.post("/storage", body);
    assert_eq!(
        add("storage=st&type=dir").await.line(),
        "500 missing value for required option 'path'"
    );
    assert_eq!(
        add("storage=st&type=nfs&server=1.2.3.4").await.line(),
        "500 missing value for required option 'export'"
    );
    let odd = add("storage=st&type=dir&path=/x&vgname=vg").await;
    assert_eq!(odd.line(), "500 unexpected property 'vgname'");
    let wrong = add("storage=st&type=lvmthin&vgname=vg&thinpool=thin&content=iso").await;
    assert_eq!(wrong.line(), "500 storage does not support content type 'iso'");
    let made = add("storage=st&type=dir&path=/srv/st&nodes=pve1&prune-backups=keep-last%3D2").await;
    assert_eq!(made.data(), json!({"storage": "st", "type": "dir"}));
    let again = add("storage=st&type=dir&path=/srv/st").await;
    assert_eq!(again.line(), "500 create storage failed: storage ID 'st' already defined");
    let mut row = client.get("/storage/st").await.data();
    row["digest"] = json!(0);
    assert_eq!(
        row,
        json!({"storage": "st", "type": "dir", "path": "/srv/st", "content": "images,rootdir", "nodes": "pve1",
            "prune-backups": "keep-last=2", "digest": 0})
    );
    assert_eq!(client.get("/nodes/pve2/storage?storage=st").await.data(), json!([]));
    let stale = client.put("/storage/st", &format!("content=iso&digest={}", "0".repeat(40))).await;
    assert!(
        stale.line().starts_with("500 update storage failed: detected modified configuration"),
        "{stale:?}"
    );
    client.put("/storage/st", "disable=1&delete=nodes").await.data();
    assert_eq!(client.get("/nodes/pve2/storage?storage=st").await.data()[0]["enabled"], 0);
    client.delete("/storage/st").await.data();
    let gone = client.delete("/storage/st").await;
    assert_eq!(gone.line(), "500 delete storage failed: storage 'st' does not exist");
}

#[tokio::test]
async fn a_file_is_uploaded_when_its_checksum_is_right() {
    let client = default().await;
    // SHA-1 of "hello".
    let sum = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";
    let fields = [("content", "iso"), ("checksum-algorithm", "sha1"), ("checksum", sum)];
    let made = upload(&client, &fields, "a b.iso", b"hello").await;
    assert_eq!(exit(&client, made).await, "OK");
    let rows = client.get("/nodes/pve1/storage/local/content?content=iso").await.data();
    assert_eq!((&rows[0]["volid"], &rows[0]["size"]), (&json!("local:iso/a_b.iso"), &json!(5)));
    let wrong = upload(&client, &fields, "x.iso", b"hullo").await;
    assert!(exit(&client, wrong).await.starts_with("checksum mismatch: got '"));
    let alone = upload(&client, &[("content", "iso"), ("checksum", sum)], "x.iso", b"hello").await;
    assert!(alone.error("checksum-algorithm").contains("requires this property"));
    let no_image = upload(&client, &[("content", "import")], "x.qcow2", b"no image").await;
    assert!(exit(&client, no_image).await.ends_with("Image is not in qcow2 format"));
    let image = upload(&client, &[("content", "import")], "x.qcow2", b"QFI\xfb....").await;
    assert_eq!(exit(&client, image).await, "OK");
    let bad = upload(&client, &[("content", "vztmpl")], "x.iso", b"x").await;
    assert_eq!(bad.error("filename"), "wrong file extension");
}

/// Answers every connection with one file.
async fn file_server(content: &'static str) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await;
            let text = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/x-iso\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{content}",
                content.len()
            );
            let _ = stream.write_all(text.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn a_file_is_downloaded_from_this_machine_and_from_nowhere_else() {
    let client = default().await;
    let server = file_server("hello").await;
    let path = "/nodes/pve1/storage/local/download-url";
    let sum = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let body =
        format!("content=iso&filename=d.iso&url=http://{server}/d.iso&checksum-algorithm=sha256");
    assert_eq!(client.task("POST", path, &format!("{body}&checksum={sum}")).await, "OK");
    let rows = client.get("/nodes/pve1/storage/local/content?content=iso").await.data();
    assert_eq!((&rows[0]["volid"], &rows[0]["size"]), (&json!("local:iso/d.iso"), &json!(5)));
    let wrong = client.task("POST", path, &format!("{body}&checksum={}", "0".repeat(64))).await;
    assert!(wrong.starts_with("checksum mismatch"), "{wrong}");
    let far = "content=iso&filename=e.iso&url=https://example.invalid/e.iso";
    assert!(client.task("POST", path, far).await.starts_with("download failed: "));
    let bad = client.post(path, "content=iso&filename=e.iso&url=nope").await;
    assert_eq!(bad.error("url"), "value does not match the regex pattern");
    let about =
        client.get(&format!("/nodes/pve1/query-url-metadata?url=http://{server}/d.iso")).await;
    assert_eq!(
        about.data(),
        json!({"size": 5, "filename": "d.iso", "mimetype": "application/x-iso"})
    );
}

#[tokio::test]
async fn volumes_are_allocated_copied_and_deleted() {
    let client = default().await;
    let content = "/nodes/pve1/storage/local/content";
    let made =
        client.post(content, "vmid=500&filename=vm-500-disk-9.qcow2&size=64M&format=qcow2").await;
    assert_eq!(made.data(), "local:500/vm-500-disk-9.qcow2");
    let again = client.post(content, "vmid=500&filename=vm-500-disk-9.qcow2&size=64M").await;
    assert_eq!(
        again.line(),
        "500 disk image '/var/lib/vz/images/500/vm-500-disk-9.qcow2' already exists"
    );
    let volume = format!("{content}/local%3A500%2Fvm-500-disk-9.qcow2");
    let protect = client.put(&volume, "protected=1").await;
    assert_eq!(protect.line(), "500 only backups support attribute 'protected'");
    let root = Client::with_password(&client.simulator, "root@pam", "secret-password").await;
    assert_eq!(root.task("POST", &volume, "target=500/vm-500-disk-8.qcow2").await, "OK");
    assert_eq!(
        client.get(&format!("{content}?vmid=500")).await.data().as_array().unwrap().len(),
        2
    );
    assert_eq!(client.task("DELETE", &volume, "").await, "OK");
    let gone = client.get(&volume).await;
    assert_eq!(
        gone.line(),
        "500 volume_size_info on 'local:500/vm-500-disk-9.qcow2' failed - no format"
    );
}

#[tokio::test]
async fn figures_come_as_series_over_the_simulated_time() {
    for (version, frames) in [(Version::V8_4, 5), (Version::V9_2, 6)] {
        let client = start(builder().version(version)).await;
        let all = ["hour", "day", "week", "month", "year", "decade"];
        for (at, frame) in all.iter().enumerate() {
            let path = format!("/nodes/pve1/rrddata?timeframe={frame}");
            let answer = client.get(&path).await;
            if at >= frames {
                assert!(answer.error("timeframe").contains("enumeration"), "{answer:?}");
                continue;
            }
            let points = answer.data();
            assert!(points.as_array().unwrap().len() >= 70);
            assert_eq!(client.get(&path).await.data(), points);
        }
        let points = client.get("/nodes/pve1/storage/local/rrddata?timeframe=hour").await.data();
        let last = points.as_array().unwrap().last().unwrap().clone();
        assert!(last["total"].as_u64() > last["used"].as_f64().map(|used| used as u64));
    }
}
