//! The bytes of a websocket.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures::{Sink, Stream};
use reqwest::Upgraded;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

/// The largest message that is read: 16 MiB. The API proxy sends at most 64 KiB
/// or so at once.
const LARGEST_MESSAGE: usize = 16 * 1024 * 1024;
/// The most that is sent in one message.
const LARGEST_WRITE: usize = 64 * 1024;

/// A connection to a console. Where messages begin and end does not show; pings
/// are answered while it is read. Dropping it ends the console's task.
pub struct ConsoleStream {
    socket: WebSocketStream<Upgraded>,
    /// What was received and not read yet.
    unread: Bytes,
}

impl fmt::Debug for ConsoleStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsoleStream").finish_non_exhaustive()
    }
}

impl ConsoleStream {
    pub(super) async fn new(connection: Upgraded) -> Self {
        let config = WebSocketConfig::default()
            // What is typed is sent at once: nobody flushes a console before
            // waiting for its echo.
            .write_buffer_size(0)
            .max_message_size(Some(LARGEST_MESSAGE))
            .max_frame_size(Some(LARGEST_MESSAGE));
        let socket = WebSocketStream::from_raw_socket(connection, Role::Client, Some(config)).await;
        Self { socket, unread: Bytes::new() }
    }

    /// Waits until there is something to read; false at the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.unread.is_empty() {
            // What the connection could not take yet goes out while we wait;
            // whether it is broken, the reading says.
            let _ = Pin::new(&mut self.socket).poll_flush(cx);
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                None | Some(Ok(Message::Close(_))) => return Poll::Ready(Ok(false)),
                Some(Ok(Message::Binary(bytes))) => self.unread = bytes,
                Some(Ok(Message::Text(text))) => self.unread = text.into(),
                // Pings are answered by the library.
                Some(Ok(_)) => {}
                Some(Err(error)) if is_end(&error) => return Poll::Ready(Ok(false)),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
            }
        }
        Poll::Ready(Ok(true))
    }

    /// Sends what `frame` makes of the beginning of `data`, as one message.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
        frame: impl FnOnce(&[u8]) -> Bytes,
    ) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(to_io)?;
        let part = &data[..data.len().min(LARGEST_WRITE)];
        Pin::new(&mut self.socket).start_send(Message::Binary(frame(part))).map_err(to_io)?;
        Poll::Ready(Ok(part.len()))
    }
}

/// The node closes without ceremony when a guest stops.
fn is_end(error: &Error) -> bool {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => true,
        Error::Protocol(
            tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        ) => true,
        Error::Io(error) => error.kind() == io::ErrorKind::UnexpectedEof,
        _ => false,
    }
}

fn to_io(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        error if is_end(&error) => io::ErrorKind::BrokenPipe.into(),
        error => io::Error::other(error),
    }
}

impl AsyncRead for ConsoleStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() > 0 && ready!(self.poll_fill(cx))? {
            let count = self.unread.len().min(buffer.remaining());
            buffer.put_slice(&self.unread[..count]);
            self.unread.advance(count);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ConsoleStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, data, Bytes::copy_from_slice)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(to_io)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.socket).poll_close(cx)) {
            Err(error) if !is_end(&error) => Poll::Ready(Err(to_io(error))),
            _ => Poll::Ready(Ok(())),
        }
    }
}
