//! Screens and terminals by websocket.

use std::future::pending;

use futures::future::BoxFuture;
use futures::{FutureExt, SinkExt, StreamExt};
use pve::console::Consoles;
use pve::{Auth, Client, Error, Sent, VmId};
use secrecy::ExposeSecret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

use crate::server::{Act, Request, Server, Socket, data, refuse, soon};

const LOGIN: &str = r#"{"ticket":"T1","CSRFPreventionToken":"C1","username":"u@pve"}"#;
const UPID: &str = "UPID:pve1:00003917:000ACB13:6B007EAE:vncproxy:500:u@pve:";

/// A console whose ticket is `ticket`, and whose websocket goes on as `socket`
/// says.
async fn server(ticket: &str, socket: fn(Socket) -> BoxFuture<'static, ()>) -> Server {
    let opened = format!(
        "{{\"port\":\"5900\",\"ticket\":\"{ticket}\",\"user\":\"u@pve\",\"upid\":\"{UPID}\"}}"
    );
    Server::start(move |request: &Request| match request.target.as_str() {
        target if target.ends_with("/access/ticket") => data(LOGIN),
        target if target.contains("/vncwebsocket?") => Act::Websocket(socket),
        _ => data(&opened),
    })
    .await
}

fn client(server: &Server) -> Client {
    let mut config = server.config();
    config.auth = Auth::ticket("u@pve", "secret");
    Client::new(config).unwrap()
}

fn vm(client: &Client) -> Consoles {
    client.node("pve1").qemu(VmId::new(500).unwrap()).consoles()
}

/// Sends back whatever comes, in one message each, until it is told to close.
fn echo(mut socket: Socket) -> BoxFuture<'static, ()> {
    async move {
        while let Some(Ok(message)) = socket.next().await {
            match message {
                Message::Binary(bytes) if &bytes[..] == b"bye" => break,
                Message::Binary(bytes) => socket.send(Message::Binary(bytes)).await.unwrap(),
                _ => {}
            }
        }
        let _ = socket.close(None).await;
    }
    .boxed()
}

#[tokio::test]
async fn a_screen_is_a_byte_stream() {
    let server = server("PVEVNC:68A1::sig+x=", echo).await;
    let client = client(&server);
    let (ticket, mut stream) = soon(vm(&client).vnc()).await.unwrap();
    assert_eq!(ticket.port, 5900);
    // More than one message, read in other pieces than it was written.
    let sent: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
    let (mut reader, mut writer) = tokio::io::split(&mut stream);
    let mut read = vec![0; sent.len()];
    let write = async {
        writer.write_all(&sent).await.unwrap();
    };
    soon(futures::future::join(write, reader.read_exact(&mut read))).await.1.unwrap();
    assert_eq!(read, sent);
    soon(async {
        // What is written goes out without being flushed.
        stream.write_all(b"bye").await.unwrap();
        assert_eq!(stream.read(&mut [0; 10]).await.unwrap(), 0, "the end");
    })
    .await;
    let requests = server.requests();
    let opened = &requests[1];
    assert_eq!(opened.target, "/api2/json/nodes/pve1/qemu/500/vncproxy");
    assert_eq!(opened.text(), "websocket=1");
    let socket = &requests[2];
    assert_eq!(
        socket.target,
        "/api2/json/nodes/pve1/qemu/500/vncwebsocket?port=5900&vncticket=PVEVNC%3A68A1%3A%3Asig%2Bx%3D"
    );
    assert_eq!(socket.header("upgrade"), Some("websocket"));
    assert_eq!(socket.header("sec-websocket-protocol"), Some("binary"));
    assert_eq!(socket.header("cookie"), Some("PVEAuthCookie=T1"));
}

#[tokio::test]
async fn both_forms_of_ticket_give_the_password_of_the_screen() {
    for (ticket, password) in
        [("PVEVNC:68A1::sig", "PVEVNC:6"), ("abcdefgh:PVEVNC:68A1::sig", "abcdefgh")]
    {
        let server = server(ticket, echo).await;
        let opened = soon(vm(&client(&server)).open_vnc()).await.unwrap();
        assert_eq!(opened.vnc_password().expose_secret(), password);
        assert_eq!(opened.ticket.expose_secret(), ticket);
        assert!(!format!("{opened:?}").contains("sig"), "the ticket prints");
    }
    let answer = r#"{"port":5901,"ticket":"abcdefgh:PVEVNC:1::s","password":"pass4321"}"#;
    let server = Server::scripted([data(LOGIN), data(answer)]).await;
    let opened = soon(vm(&client(&server)).open_vnc()).await.unwrap();
    assert_eq!(opened.vnc_password().expose_secret(), "pass4321");
}

/// A terminal that logs in, says hello, and shows what it is sent as it came.
fn terminal(mut socket: Socket) -> BoxFuture<'static, ()> {
    async move {
        let login = socket.next().await.unwrap().unwrap().into_data();
        assert_eq!(&login[..], b"u@pve:PVEVNC:68A1::sig\n");
        socket.send(Message::binary(&b"OKhello"[..])).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if message.is_binary() {
                let text = String::from_utf8_lossy(&message.into_data()).into_owned();
                socket.send(Message::text(format!("[{text}]"))).await.unwrap();
            }
        }
    }
    .boxed()
}

#[tokio::test]
async fn a_terminal_frames_what_is_typed_and_shows_the_rest_as_it_is() {
    let server = server("PVEVNC:68A1::sig", terminal).await;
    let client = client(&server);
    let container = client.node("pve1").lxc(VmId::new(500).unwrap());
    let mut terminal = soon(container.consoles().terminal()).await.unwrap();
    let shown = "hello[0:4:ls -][1:120:40:][2]";
    soon(async {
        terminal.write_all(b"ls -").await.unwrap();
        terminal.flush().await.unwrap();
        terminal.resize(120, 40).await.unwrap();
        terminal.keep_alive().await.unwrap();
        let mut text = vec![0; shown.len()];
        terminal.read_exact(&mut text).await.unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), shown);
    })
    .await;
    assert_eq!(server.requests()[1].target, "/api2/json/nodes/pve1/lxc/500/termproxy");
}

#[tokio::test]
async fn a_terminal_that_refuses_the_ticket_says_so() {
    let refusing: fn(Socket) -> BoxFuture<'static, ()> = |mut socket| {
        async move {
            socket.send(Message::binary(&b"no"[..])).await.unwrap();
            pending().await
        }
        .boxed()
    };
    let server = server("PVEVNC:68A1::sig", refusing).await;
    let error = soon(client(&server).node("pve1").consoles().terminal()).await.unwrap_err();
    assert!(error.to_string().contains("the ticket was refused"), "{error}");
    assert!(!format!("{error:?}").contains("68A1"), "{error:?}");
    assert_eq!(server.requests()[1].target, "/api2/json/nodes/pve1/termproxy");
}

#[tokio::test]
async fn tokens_are_told_before_anything_is_opened() {
    let server = server("PVEVNC:68A1::sig", echo).await;
    let error = soon(vm(&server.client()).vnc()).await.unwrap_err();
    assert_eq!(error.was_sent(), Sent::No);
    assert!(error.to_string().contains("do not take API tokens"), "{error}");
    let error = soon(vm(&server.client()).terminal()).await.unwrap_err();
    assert!(matches!(error, Error::InvalidRequest { .. }), "{error:?}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_socket_that_is_refused_or_is_none_is_an_error() {
    let opened = r#"{"port":5900,"ticket":"PVEVNC:1::s"}"#;
    let refused = refuse(403, "Permission check failed (/vms/500, VM.Console)");
    let server = Server::scripted([
        data(LOGIN),
        data(opened),
        refused,
        data(opened),
        data(r#"{"port":"5900"}"#),
        data(opened),
        Act::Send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
              Sec-WebSocket-Accept: of another key\r\n\r\n"
                .to_vec(),
        ),
    ])
    .await;
    let client = client(&server);
    let error = soon(vm(&client).vnc()).await.unwrap_err();
    assert_eq!(error.missing_privilege(), Some(("/vms/500", "VM.Console")));
    let error = soon(vm(&client).vnc()).await.unwrap_err();
    assert!(error.to_string().contains("expected a websocket"), "{error}");
    let error = soon(vm(&client).vnc()).await.unwrap_err();
    assert!(error.to_string().contains("handshake is wrong"), "{error}");
}

#[tokio::test]
async fn a_refused_ticket_logs_in_again_once_for_a_socket_too() {
    let opened = r#"{"port":5900,"ticket":"PVEVNC:1::s"}"#;
    let server = Server::scripted([
        data(LOGIN),
        data(opened),
        crate::server::bare(401, "No ticket"),
        data(LOGIN),
        Act::Websocket(echo),
    ])
    .await;
    soon(vm(&client(&server)).vnc()).await.unwrap();
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn spice_gives_the_file_that_a_viewer_reads() {
    let values = r#"{"type":"spice","host":"pvespiceproxy:1","tls-port":61000,"password":"hush","ca":"-----BEGIN-----\\nX"}"#;
    let server = Server::scripted([data(LOGIN), data(values)]).await;
    let file = soon(vm(&client(&server)).spice(Some("pve1.example"))).await.unwrap();
    assert_eq!(file.get("tls-port"), Some("61000"));
    let text = file.to_string();
    assert!(text.starts_with("[virt-viewer]\n") && text.contains("\ntls-port=61000\n"), "{text}");
    assert!(!format!("{file:?}").contains("hush"));
    assert_eq!(server.requests()[1].text(), "proxy=pve1.example");
}
