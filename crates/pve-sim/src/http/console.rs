//! The websocket of a console. A terminal takes a log-in line and frames, as
//! Proxmox's `termproxy` does, and echoes what is typed; a VNC console greets
//! and echoes.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use hyper::header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::calls::console::{Console, Protocol};

/// The largest message of a client, in bytes.
const MAX_MESSAGE: usize = 1 << 20;
/// How long a client may be silent.
const PATIENCE: Duration = Duration::from_secs(300);

/// The key of a request that wants a websocket.
pub(super) fn key(headers: &HeaderMap) -> Option<String> {
    let upgrade = headers.get(UPGRADE)?.to_str().ok()?;
    if !upgrade.eq_ignore_ascii_case("websocket") {
        return None;
    }
    headers.get("sec-websocket-key")?.to_str().ok().map(str::to_owned)
}

/// Turns an answer into the beginning of a websocket.
pub(super) fn accept(key: &str, headers: &mut HeaderMap) {
    headers.clear();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert("sec-websocket-protocol", HeaderValue::from_static("binary"));
    if let Ok(value) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        headers.insert("sec-websocket-accept", value);
    }
}

/// Serves a console until one side ends it.
pub(super) async fn serve(upgrade: OnUpgrade, console: Console) {
    let Ok(upgraded) = upgrade.await else { return };
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let stream = TokioIo::new(upgraded);
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    let ended = match console.protocol {
        Protocol::Vnc => vnc(&mut socket).await,
        Protocol::Terminal => terminal(&mut socket, &console).await,
    };
    if ended.is_none() {
        tracing::debug!(port = console.port, "a console ended");
    }
    let _ = socket.close(None).await;
}

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// The bytes of the next message; `None` at the end.
async fn next(socket: &mut Socket) -> Option<Bytes> {
    loop {
        let message = tokio::time::timeout(PATIENCE, socket.next()).await.ok()??;
        match message.ok()? {
            Message::Binary(bytes) => return Some(bytes),
            Message::Text(text) => return Some(Bytes::copy_from_slice(text.as_bytes())),
            Message::Close(_) => return None,
            // Pings are answered by the library.
            _ => {}
        }
    }
}

async fn send(socket: &mut Socket, bytes: impl Into<Bytes>) -> Option<()> {
    socket.send(Message::Binary(bytes.into())).await.ok()
}

async fn vnc(socket: &mut Socket) -> Option<()> {
    send(socket, &b"RFB 003.008\n"[..]).await?;
    loop {
        let bytes = next(socket).await?;
        send(socket, bytes).await?;
    }
}

async fn terminal(socket: &mut Socket, console: &Console) -> Option<()> {
    let mut buffer = Vec::new();
    while !buffer.contains(&b'\n') {
        if buffer.len() > 4096 {
            return None;
        }
        buffer.extend_from_slice(&next(socket).await?);
    }
    let end = buffer.iter().position(|byte| *byte == b'\n')?;
    let login: Vec<u8> = buffer.drain(..=end).collect();
    if login[..end] != *format!("{}:{}", console.user, console.ticket).as_bytes() {
        return None;
    }
    send(socket, &b"OK"[..]).await?;
    loop {
        while let Some((frame, used)) = frame(&buffer)? {
            buffer.drain(..used);
            if let Some(typed) = frame {
                send(socket, typed).await?;
            }
        }
        buffer.extend_from_slice(&next(socket).await?);
    }
}

/// The next frame of a terminal's client, with the number of bytes that it
/// takes: `0:LENGTH:DATA` is typed, `1:COLUMNS:ROWS:` a new size, `2` a sign of
/// life. `Some(None)` asks for more bytes, `None` is nonsense.
#[allow(clippy::type_complexity, reason = "used twice, right here")]
fn frame(buffer: &[u8]) -> Option<Option<(Option<Vec<u8>>, usize)>> {
    let number = |from: usize| -> Option<Option<(usize, usize)>> {
        let rest = buffer.get(from..)?;
        let Some(end) = rest.iter().position(|byte| *byte == b':') else {
            return if rest.len() > 8 { None } else { Some(None) };
        };
        let value = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
        Some(Some((value, from + end + 1)))
    };
    match buffer.first() {
        None => Some(None),
        Some(b'2') => Some(Some((None, 1))),
        Some(kind @ (b'0' | b'1')) => {
            if buffer.len() < 2 {
                return Some(None);
            }
            if buffer[1] != b':' {
                return None;
            }
            let Some((first, at)) = number(2)? else { return Some(None) };
            if *kind == b'1' {
                return Some(number(at)?.map(|(_, end)| (None, end)));
            }
            if first > MAX_MESSAGE {
                return None;
            }
            Some(buffer.get(at..at + first).map(|data| (Some(data.to_vec()), at + first)))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_a_terminal_are_typed_text_sizes_and_signs_of_life() {
        assert_eq!(frame(b"0:2:ls2"), Some(Some((Some(b"ls".to_vec()), 6))));
        assert_eq!(frame(b"2"), Some(Some((None, 1))));
        assert_eq!(frame(b"1:80:24:0"), Some(Some((None, 8))));
        for part in [&b""[..], b"0", b"0:", b"0:5", b"0:5:ab", b"1:80:", b"1:80:2"] {
            assert_eq!(frame(part), Some(None), "{part:?}");
        }
        for nonsense in [&b"x"[..], b"0;", b"0:x:", b"1:80:x:"] {
            assert_eq!(frame(nonsense), None, "{nonsense:?}");
        }
    }
}
