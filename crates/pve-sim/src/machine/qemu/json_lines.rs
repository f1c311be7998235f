//! One JSON value per line over a Unix socket: what QMP and the guest agent speak.

use std::io;
use std::path::Path;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// The agent captures up to 16 MiB of a program's output and sends it as
/// base64 (qga/commands.c, `GUEST_EXEC_MAX_OUTPUT`), for stdout and stderr.
const LINE_LIMIT_BYTES: u64 = 48 << 20;

pub(super) struct JsonLines {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl JsonLines {
    pub(super) async fn connect(socket: &Path) -> io::Result<Self> {
        let (reader, writer) = UnixStream::connect(socket).await?.into_split();
        Ok(Self { reader: BufReader::new(reader), writer })
    }

    /// Sends bytes and a line end.
    pub(super) async fn send(&mut self, prefix: &[u8], value: &Value) -> io::Result<()> {
        let mut line = prefix.to_vec();
        line.extend_from_slice(value.to_string().as_bytes());
        line.push(b'\n');
        self.writer.write_all(&line).await
    }

    /// The next line that holds something.
    pub(super) async fn receive(&mut self) -> io::Result<Value> {
        loop {
            let line = self.bytes_until(b'\n').await?;
            if !line.trim_ascii().is_empty() {
                return serde_json::from_slice(&line).map_err(io::Error::other);
            }
        }
    }

    /// Drops everything up to this byte.
    pub(super) async fn skip_past(&mut self, end: u8) -> io::Result<()> {
        self.bytes_until(end).await.map(drop)
    }

    async fn bytes_until(&mut self, end: u8) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut limited = (&mut self.reader).take(LINE_LIMIT_BYTES);
        limited.read_until(end, &mut bytes).await?;
        if bytes.last() == Some(&end) {
            return Ok(bytes);
        }
        if bytes.len() as u64 == LINE_LIMIT_BYTES {
            return Err(io::Error::other("a line is longer than 48 MiB"));
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[tokio::test]
    async fn a_cut_line_is_an_error_and_not_a_value() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let mut client = JsonLines::connect(&path).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        server.write_all(b"\n{\"a\": 1}\r\n{\"b\"").await.unwrap();
        drop(server);
        assert_eq!(client.receive().await.unwrap(), serde_json::json!({ "a": 1 }));
        let error = client.receive().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
