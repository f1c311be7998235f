//! Facts about HTTP and validation.

use std::io::Read as _;

use crate::support::{Client, builder, bytes, default, raw, start};

#[tokio::test]
async fn fact_01_the_reason_phrase_is_the_first_line_of_the_message() {
    let client = default().await;
    let answer = client.get("/nodes/pve1/qemu/999/config").await;
    let text = "Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist";
    assert_eq!(answer.line(), format!("500 {text}"));
    assert_eq!(answer.json(), serde_json::json!({"data": null, "message": format!("{text}\n")}));
}

#[tokio::test]
async fn fact_02_17_19_all_bad_parameters_are_listed_with_proxmox_texts() {
    let client = default().await;
    let body = "vmid=500&memory=abc&onboot=true&name=bad_name&frobnicate=1&net0=foo,bridge%3Dvmbr0";
    let answer = client.post("/nodes/pve1/qemu", body).await;
    let undefined =
        "property is not defined in schema and the schema does not allow additional properties";
    assert_eq!(answer.error("frobnicate"), undefined);
    assert_eq!(answer.error("onboot"), "type check ('boolean') failed - got 'true'");
    assert_eq!(
        answer.error("memory"),
        "invalid format - format error\nmemory.current: type check ('integer') failed - got 'abc'\n"
    );
    assert!(
        answer
            .error("name")
            .starts_with("invalid format - value does not look like a valid DNS name")
    );
    assert!(
        answer
            .error("net0")
            .contains("net0.model: value 'foo' does not have a value in the enumeration 'e1000, ")
    );
    assert_eq!(client.get("/version?foo=1").await.error("foo"), undefined);
    assert_eq!(
        client.post("/nodes/pve1/qemu", "").await.error("vmid"),
        "property is missing and it is not optional"
    );
    let small = client.get("/nodes/pve1/qemu/99/config").await;
    assert_eq!(small.error("vmid"), "invalid format - value does not look like a valid VM ID\n");
    let word = client.get("/nodes/pve1/qemu/abc/config").await;
    assert_eq!(word.error("vmid"), "type check ('integer') failed - got 'abc'");
}

#[tokio::test]
async fn fact_03_a_401_has_an_empty_body_and_no_content_type() {
    let client = default().await;
    let nobody = Client { simulator: client.simulator.clone(), auth: String::new() };
    let wrong = Client::with_token(&client.simulator, "root@pam!simulator=nope");
    for (caller, line) in [(&nobody, "401 No ticket"), (&wrong, "401 Authentication failed!")] {
        let answer = caller.get("/nodes").await;
        assert_eq!(answer.line(), line);
        assert_eq!(answer.body, "");
        assert!(answer.header("Content-Type").is_empty());
    }
    let login = nobody.post("/access/ticket", "username=root@pam&password=wrong-wrong").await;
    assert_eq!(login.line(), "401 authentication failure");
    assert_eq!(login.json()["message"], "authentication failure\n");
}

#[tokio::test]
async fn fact_04_a_401_is_held_back_by_the_clock() {
    let builder = builder().auth_delay(std::time::Duration::from_secs(3));
    let client = start(builder).await;
    let nobody = Client { simulator: client.simulator.clone(), auth: String::new() };
    let asked = tokio::spawn(async move { nobody.get("/nodes").await });
    while client.simulator.next_due().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        client.simulator.next_due(),
        Some(client.simulator.now() + std::time::Duration::from_secs(3))
    );
    assert!(!asked.is_finished());
    client.simulator.settle().await;
    assert_eq!(asked.await.unwrap().status, 401);
}

#[tokio::test]
async fn fact_06_there_is_no_404() {
    let client = default().await;
    let answer = client.get("/nope").await;
    assert_eq!(answer.line(), "501 Method 'GET /nope' not implemented");
    assert_eq!(answer.json()["message"], "Method 'GET /nope' not implemented");
    assert_eq!(
        client.put("/nodes/pve1/qemu", "").await.line(),
        "501 Method 'PUT /nodes/pve1/qemu' not implemented"
    );
    // Empty segments do not count, and the text shows what was asked for.
    assert_eq!(client.get("//nodes//pve1//qemu").await.status, 200);
    assert_eq!(
        client.get("/nodes//tasks/nope/status").await.line(),
        "501 Method 'GET /nodes//tasks/nope/status' not implemented"
    );
    // A method that Proxmox has and the simulator has not says so.
    let left = client.get("/nodes/pve1/disks/zfs/tank").await;
    assert_eq!(
        left.line(),
        "501 Method 'GET /nodes/{node}/disks/zfs/{name}' not implemented in this simulator"
    );
}

#[tokio::test]
async fn fact_08_80_an_unknown_node_is_a_failed_look_up_before_parameters_are_checked() {
    let client = default().await;
    let answer = client.get("/nodes/nope/qemu?bogus=1").await;
    assert!(answer.line().starts_with("500 hostname lookup 'nope' failed - "), "{answer:?}");
}

#[tokio::test]
async fn fact_10_11_12_13_odd_requests_are_refused_as_pveproxy_does() {
    let client = default().await;
    let send = async |head: &str, body: &str| {
        let request = format!(
            "{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n{}\r\n{body}",
            body.len(),
            client.auth
        );
        raw(&client.simulator, request.as_bytes()).await.unwrap()
    };
    assert_eq!(
        send("PATCH /api2/json/version", "").await.line(),
        "501 method 'PATCH' not available"
    );
    assert_eq!(
        send("DELETE /api2/json/pools/x", "a=1").await.line(),
        "501 Unexpected content for method 'DELETE'"
    );
    let text =
        send("POST /api2/json/pools HTTP/1.1\r\nContent-Type: text/plain\r\nX: y", "a").await;
    // The head above ends its own line; the second version is a header of no meaning.
    assert_eq!(text.line(), "506 upload 'Content-Type 'text/plain' not implemented");
    let json =
        send("POST /api2/json/pools HTTP/1.1\r\nContent-Type: application/json\r\nX: y", "").await;
    assert!(json.line().starts_with("500 malformed JSON string"), "{json:?}");
    assert!(!json.body.starts_with('{'));
    let large = "poolid=".to_owned() + &"a".repeat(600 * 1024);
    assert_eq!(send("POST /api2/json/pools", &large).await.line(), "501 for data too large");
    assert_eq!(
        send("GET /api2/xyz/version", "").await.line(),
        "501 no formatter for uri /version, xyz"
    );
    let chunked = format!(
        "POST /api2/json/pools HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n{}\r\n3\r\na=b\r\n0\r\n\r\n",
        client.auth
    );
    let chunked = raw(&client.simulator, chunked.as_bytes()).await.unwrap();
    assert_eq!(chunked.line(), "501 chunked transfer encoding not supported");
    // A form needs no Content-Type.
    assert_eq!(send("POST /api2/json/pools", "poolid=web").await.line(), "200 OK");
}

#[tokio::test]
async fn fact_14_15_forms_split_at_semicolons_and_the_query_wins() {
    let client = default().await;
    let answer = client.post("/nodes/pve1/qemu", "vmid=500&boot=order=scsi0;net0").await;
    assert!(answer.error("boot").contains("boot.legacy"));
    assert!(answer.error("net0").contains("net0.model: property is missing"));
    client.post("/pools", "poolid=web").await.data();
    client.put("/pools/web?comment=query", "comment=body").await.data();
    assert_eq!(client.get("/pools/web").await.data()["comment"], "query");
    let conflict = client.put("/pools/web", "poolid=other").await;
    assert_eq!(
        conflict.error("poolid"),
        "duplicate parameter (already defined in URI) with conflicting values!"
    );
}

#[tokio::test]
async fn fact_20_relayed_answers_and_errors_close_the_connection() {
    let client = default().await;
    let relayed = client.get("/nodes/pve1/qemu").await;
    assert_eq!(relayed.header("Connection"), ["close, Keep-Alive"]);
    assert_eq!(client.get("/nope").await.header("Connection"), ["close"]);
}

#[tokio::test]
async fn fact_20_bodies_over_a_kib_are_compressed_for_who_asks() {
    let client = default().await;
    let ask = async |path: &str, accepts: &str| {
        let head = format!(
            "GET /api2/json{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{accepts}{}\r\n",
            client.auth
        );
        bytes(&client.simulator, head.as_bytes()).await
    };
    let gzip = "Accept-Encoding: deflate, gzip\r\n";
    let (head, body) = ask("/access/roles", gzip).await;
    assert!(head.contains("Content-Encoding: gzip"), "{head}");
    let mut text = String::new();
    flate2::read::GzDecoder::new(body.as_slice()).read_to_string(&mut text).unwrap();
    assert!(text.contains("PVEVMUser"), "{text}");
    for (path, accepts) in [("/version", gzip), ("/access/roles", "")] {
        let (head, body) = ask(path, accepts).await;
        assert!(!head.contains("Content-Encoding"), "{head}");
        assert!(body.starts_with(b"{"));
    }
}

#[tokio::test]
async fn fact_12_headers_over_8_kib_or_64_lines_get_no_answer_of_the_api() {
    let client = default().await;
    let with = async |lines: String| {
        let head = format!(
            "GET /api2/json/version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}{lines}\r\n",
            client.auth
        );
        raw(&client.simulator, head.as_bytes()).await.map(|answer| answer.status)
    };
    assert_eq!(with(format!("X-Long: {}\r\n", "a".repeat(7_000))).await, Some(200));
    assert_eq!(with(format!("X-Long: {}\r\n", "a".repeat(9_000))).await, None);
    assert_eq!(with("X-Many: a\r\n".repeat(50)).await, Some(200));
    assert_ne!(with("X-Many: a\r\n".repeat(80)).await, Some(200));
}

#[tokio::test]
async fn fact_23_a_cookie_wins_over_a_token_and_may_stand_in_authorization() {
    let client = default().await;
    let root = Client::with_password(&client.simulator, "root@pam", "secret-password").await;
    let ticket = root.auth.split(['=', '\r']).nth(1).unwrap();
    let ask = async |headers: String| {
        let head = format!(
            "GET /api2/json/nodes HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"
        );
        raw(&client.simulator, head.as_bytes()).await.unwrap().status
    };
    let token = format!("Authorization: PVEAPIToken={}\r\n", client.simulator.token());
    assert_eq!(ask(token.clone()).await, 200);
    assert_eq!(ask(format!("Cookie: PVEAuthCookie=nonsense\r\n{token}")).await, 401);
    assert_eq!(ask(format!("Authorization: PVEAuthCookie={ticket}\r\n")).await, 200);
    assert_eq!(
        ask(format!("Cookie: PVEAuthCookie={ticket}\r\nAuthorization: PVEAPIToken=x\r\n")).await,
        200
    );
}

#[tokio::test]
async fn fact_09_a_node_that_cannot_be_reached_is_a_595_without_a_body() {
    let client = default().await;
    client.simulator.change(&pve_sim::Change::NodeOnline("pve2".into(), false));
    let answer = client.get("/nodes/pve2/qemu").await;
    assert_eq!((answer.status, answer.body.as_str()), (595, ""));
    assert!(answer.header("Content-Type").is_empty());
    assert_eq!(client.get("/nodes/pve1/qemu").await.status, 200);
}

#[tokio::test]
async fn fact_20_plain_http_is_redirected() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let client = default().await;
    let mut stream = tokio::net::TcpStream::connect(client.simulator.address()).await.unwrap();
    stream.write_all(b"GET /api2/json/version HTTP/1.1\r\nHost: box:8006\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(
        text.starts_with(
            "HTTP/1.1 301 Moved Permanently\r\nLocation: https://box:8006/api2/json/version\r\n"
        ),
        "{text}"
    );
    let mut stream = tokio::net::TcpStream::connect(client.simulator.address()).await.unwrap();
    stream.write_all(b"POST /api2/json/pools HTTP/1.1\r\nHost: box:8006\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 308 Permanent Redirect\r\n"), "{text}");
}

#[tokio::test]
async fn fact_21_extjs_always_answers_200() {
    let client = default().await;
    let request = format!(
        "GET /api2/extjs/pools/none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}\r\n",
        client.auth
    );
    let answer = raw(&client.simulator, request.as_bytes()).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["success"], 0);
    assert_eq!(answer.json()["message"], "pool 'none' does not exist\n");
    assert_eq!(answer.json()["status"], 500);
    // What pvedaemon refuses, pveproxy passes on with a status in quotes.
    let request = request.replace("GET /api2/extjs/pools/none", "POST /api2/extjs/pools");
    let answer = raw(&client.simulator, request.as_bytes()).await.unwrap();
    assert_eq!(answer.json()["status"], "400");
    assert_eq!(answer.header("Connection"), ["close, Keep-Alive"]);
}

#[tokio::test]
async fn fact_62_an_upload_needs_its_content_field_first() {
    let client = default().await;
    let upload = async |fields: &[(&str, &str)], first_file: bool, name: &str| {
        let file = format!(
            "--B\r\nContent-Disposition: form-data; name=\"filename\"; filename=\"{name}\"\r\n\r\nxxxx\r\n"
        );
        let fields: String = fields
            .iter()
            .map(|(key, value)| {
                format!("--B\r\nContent-Disposition: form-data; name=\"{key}\"\r\n\r\n{value}\r\n")
            })
            .collect();
        let body = if first_file {
            format!("{file}{fields}--B--\r\n")
        } else {
            format!("{fields}{file}--B--\r\n")
        };
        let head = format!(
            "POST /api2/json/nodes/pve1/storage/local/upload HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}\
             Content-Type: multipart/form-data; boundary=B\r\nContent-Length: {}\r\n\r\n{body}",
            client.auth,
            body.len()
        );
        raw(&client.simulator, head.as_bytes()).await.unwrap()
    };
    let late = upload(&[("content", "iso")], true, "a.iso").await;
    assert_eq!(late.error("content"), "property is missing and it is not optional");
    assert_eq!(
        upload(&[("content", "iso")], false, "a.exe").await.error("filename"),
        "wrong file extension"
    );
    let good = upload(&[("content", "iso")], false, "a.iso").await.data();
    assert!(good.as_str().unwrap().contains(":imgcopy::root@pam!simulator:"));
    client.simulator.settle().await;
    let rows = client.get("/nodes/pve1/storage/local/content?content=iso").await.data();
    assert_eq!(rows[0]["volid"], "local:iso/a.iso");
    assert_eq!(rows[0]["size"], 4);
    // Another type of body: the connection is closed without an answer.
    let answer =
        client.try_send("POST", "/nodes/pve1/storage/local/upload", Some("content=iso")).await;
    assert!(answer.is_none(), "{answer:?}");
}
