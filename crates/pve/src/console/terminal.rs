//! A terminal's own framing inside of its websocket: what is typed goes as
//! `0:LENGTH:BYTES`, a new size as `1:COLUMNS:ROWS:`, a sign of life as `2`;
//! what it shows comes without any framing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::ConsoleStream;

/// A terminal. What is written is typed; what it shows is read.
///
/// The node closes a terminal that is silent for some minutes: send
/// [`keep_alive`](Self::keep_alive) every 30 s or so while nothing is typed.
#[derive(Debug)]
pub struct Terminal(ConsoleStream);

impl Terminal {
    /// Logs in at a terminal that was connected to.
    ///
    /// # Errors
    /// When it answers anything but `OK`, or closes.
    pub async fn log_in(
        mut stream: ConsoleStream,
        user: &str,
        ticket: &SecretString,
    ) -> io::Result<Self> {
        let line = SecretString::from(format!("{user}:{}\n", ticket.expose_secret()));
        stream.write_all(line.expose_secret().as_bytes()).await?;
        stream.flush().await?;
        let mut answer = [0; 2];
        stream.read_exact(&mut answer).await?;
        match &answer {
            b"OK" => Ok(Self(stream)),
            _ => Err(io::Error::new(io::ErrorKind::PermissionDenied, "the ticket was refused")),
        }
    }

    /// Tells it how large the window is, in characters.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn resize(&mut self, columns: u16, rows: u16) -> io::Result<()> {
        self.0.write_all(format!("1:{columns}:{rows}:").as_bytes()).await?;
        self.0.flush().await
    }

    /// A sign of life.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn keep_alive(&mut self) -> io::Result<()> {
        self.0.write_all(b"2").await?;
        self.0.flush().await
    }
}

fn typed(data: &[u8]) -> Bytes {
    let mut frame = format!("0:{}:", data.len()).into_bytes();
    frame.extend_from_slice(data);
    frame.into()
}

impl AsyncRead for Terminal {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Terminal {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_send(cx, data, typed)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
