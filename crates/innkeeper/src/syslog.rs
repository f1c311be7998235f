//! The log over UDP to a syslog server, one datagram per line (RFC 5424, 5426).

use std::io::{self, Write};
use std::net::{ToSocketAddrs as _, UdpSocket};
use std::sync::Arc;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::log_time::LogTime;

/// The facility `local0` (RFC 5424, section 6.2.1).
const FACILITY: u8 = 16;
/// Bytes of a datagram: servers take 8 KiB commonly.
const MOST: usize = 8 << 10;

/// A syslog server.
#[derive(Clone, Debug)]
pub struct Syslog {
    socket: Arc<UdpSocket>,
    /// Host name, program and process, as every line says them.
    sender: Arc<str>,
    time: LogTime,
}

impl Syslog {
    /// Sends to this server, under this program's name. Whether anybody listens
    /// there is not known.
    ///
    /// # Errors
    /// When the name is not known or no socket can be had.
    pub fn connect(host: &str, port: u16, program: &str, time: LogTime) -> io::Result<Self> {
        let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("{host} is not known"));
        let server = (host, port).to_socket_addrs()?.next().ok_or_else(unknown)?;
        let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)?;
        socket.connect(server)?;
        // A log that cannot be sent must not hold up anything.
        socket.set_nonblocking(true)?;
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let (host, program) = (word(host.trim(), 255), word(program, 48));
        let sender = format!("{host} {program} {}", std::process::id());
        Ok(Self { socket: Arc::new(socket), sender: Arc::from(sender), time })
    }

    fn line(&self, severity: u8) -> Line {
        let (priority, now) = (FACILITY * 8 + severity, self.time.now());
        let head = format!("<{priority}>1 {now} {} - - ", self.sender);
        Line { socket: Arc::clone(&self.socket), text: head.into_bytes() }
    }
}

/// A header's word: printable ASCII without blanks, `-` when there is none.
fn word(text: &str, most: usize) -> String {
    let word: String = text.chars().filter(char::is_ascii_graphic).take(most).collect();
    if word.is_empty() { "-".to_owned() } else { word }
}

impl<'a> MakeWriter<'a> for Syslog {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        self.line(6)
    }

    fn make_writer_for(&'a self, about: &Metadata<'_>) -> Line {
        self.line(match *about.level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        })
    }
}

/// One line; sent when it is dropped.
#[derive(Debug)]
pub struct Line {
    socket: Arc<UdpSocket>,
    text: Vec<u8>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = MOST.saturating_sub(self.text.len());
        self.text.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let _ = self.socket.send(self.text.trim_ascii_end());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_line_is_one_datagram_with_its_header() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        let port = server.local_addr().unwrap().port();
        let syslog =
            Syslog::connect("127.0.0.1", port, "visa provider", LogTime::default()).unwrap();
        writeln!(syslog.line(4), "no host").unwrap();
        let mut buffer = [0; 512];
        let length = server.recv(&mut buffer).unwrap();
        let text = std::str::from_utf8(&buffer[..length]).unwrap();
        let words: Vec<&str> = text.split(' ').collect();
        assert_eq!(words[0], "<132>1", "{text}");
        assert_eq!((words[1].len(), words[3]), ("2026-11-21T10:54:37.000Z".len(), "visaprovider"));
        assert!(text.ends_with(" - - no host"), "{text}");
        write!(syslog.line(6), "{}", "x".repeat(2 * MOST)).unwrap();
    }
}
