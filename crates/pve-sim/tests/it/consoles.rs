//! Consoles: tickets, the websocket, and what is behind it.

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::{Client, connect, default};

type Socket =
    tokio_tungstenite::WebSocketStream<tokio_rustls::client::TlsStream<tokio::net::TcpStream>>;

fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Opens the websocket of a console; the error is the status of the refusal.
async fn open(client: &Client, base: &str, console: &Value) -> Result<Socket, u16> {
    let path = format!(
        "wss://localhost/api2/json{base}/vncwebsocket?port={}&vncticket={}",
        console["port"].as_str().unwrap(),
        encode(console["ticket"].as_str().unwrap())
    );
    let mut request = path.into_client_request().unwrap();
    for line in client.auth.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        let name: hyper::header::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request.headers_mut().insert("sec-websocket-protocol", "binary".parse().unwrap());
    let stream = connect(&client.simulator).await;
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(answer)) => Err(answer.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn ask(socket: &mut Socket, text: String) -> String {
    socket.send(Message::Binary(text.into_bytes().into())).await.unwrap();
    answer(socket).await
}

async fn answer(socket: &mut Socket) -> String {
    String::from_utf8(socket.next().await.unwrap().unwrap().into_data().to_vec()).unwrap()
}

async fn root() -> (Client, Client) {
    let client = default().await;
    let root = Client::with_password(&client.simulator, "root@pam", "secret-password").await;
    (client, root)
}

#[tokio::test]
async fn a_terminal_takes_a_log_in_line_and_echoes_what_is_typed() {
    let (_, root) = root().await;
    for base in ["/nodes/pve1", "/nodes/pve1/lxc/300"] {
        let console = root.post(&format!("{base}/termproxy"), "").await.data();
        let mut socket = open(&root, base, &console).await.unwrap();
        let ticket = console["ticket"].as_str().unwrap();
        assert_eq!(ask(&mut socket, format!("root@pam:{ticket}\n")).await, "OK");
        assert_eq!(ask(&mut socket, "0:3:ls\r".into()).await, "ls\r");
        assert_eq!(ask(&mut socket, "1:80:24:20:2:id".into()).await, "id");
    }
    let console = root.post("/nodes/pve1/termproxy", "").await.data();
    let mut socket = open(&root, "/nodes/pve1", &console).await.unwrap();
    socket.send(Message::Binary(b"root@pam:wrong\n"[..].into())).await.unwrap();
    assert!(matches!(socket.next().await, None | Some(Ok(Message::Close(_)) | Err(_))));
}

#[tokio::test]
async fn a_screen_greets_as_vnc_does() {
    let (client, root) = root().await;
    let base = "/nodes/pve1/qemu/9100";
    assert_eq!(client.task("POST", "/nodes/pve1/qemu", "vmid=9100&memory=64").await, "OK");
    let stopped = root.post(&format!("{base}/vncproxy"), "websocket=1").await;
    assert_eq!(stopped.line(), "500 Timeout while waiting for port '5900' to get ready!");
    assert_eq!(client.task("POST", &format!("{base}/status/start"), "").await, "OK");
    let console = root.post(&format!("{base}/vncproxy"), "websocket=1").await.data();
    let ticket = console["ticket"].as_str().unwrap();
    assert_eq!(ticket.find(":PVEVNC:"), Some(8), "{ticket}");
    assert_eq!(console["password"], ticket[..8]);
    let task = client
        .get(&crate::support::task_path(console["upid"].as_str().unwrap(), "status"))
        .await
        .data();
    assert_eq!(task["status"], "running");
    let mut socket = open(&root, base, &console).await.unwrap();
    assert_eq!(answer(&mut socket).await, "RFB 003.008\n");
    assert_eq!(ask(&mut socket, "RFB 003.008\n".into()).await, "RFB 003.008\n");
    let spice = root.post(&format!("{base}/spiceproxy"), "").await;
    assert_eq!(spice.line(), "500 no spice port");
    let serial = root.post(&format!("{base}/termproxy"), "").await;
    assert_eq!(serial.line(), "500 unable to find a serial interface");
}

#[tokio::test]
async fn a_ticket_opens_its_own_console_once_and_for_its_own_user() {
    let (client, root) = root().await;
    let base = "/nodes/pve1";
    let console = root.post(&format!("{base}/termproxy"), "").await.data();
    let mut other = console.clone();
    other["port"] = json!("5950");
    assert_eq!(open(&root, base, &other).await.err(), Some(401));
    assert_eq!(open(&root, "/nodes/pve2", &console).await.err(), Some(401));
    // Tokens are refused, though a token may ask for a console.
    let of_token = client.post(&format!("{base}/termproxy"), "").await.data();
    assert_eq!(open(&client, base, &of_token).await.err(), Some(401));
    assert!(open(&root, base, &console).await.is_ok());
    client.simulator.advance(std::time::Duration::from_secs(41)).await;
    assert_eq!(open(&root, base, &console).await.err(), Some(401));
}
