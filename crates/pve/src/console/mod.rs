//! Consoles: screens and terminals of guests and nodes, as byte streams.
//!
//! A console is opened by a call, which answers a port and a ticket that is
//! good for some seconds, and then connected to by a websocket. Websockets take
//! a log-in ([`Auth::ticket`](crate::Auth::ticket)), never an API token.
//!
//! ```no_run
//! # async fn example(client: pve::Client, id: pve::VmId) -> Result<(), Box<dyn std::error::Error>> {
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! let mut terminal = client.node("pve1").qemu(id).consoles().terminal().await?;
//! terminal.resize(120, 40).await?;
//! terminal.write_all(b"uptime\n").await?;
//! let mut buffer = [0; 4096];
//! let count = terminal.read(&mut buffer).await?;
//! # let _ = count;
//! # Ok(())
//! # }
//! ```

mod stream;
mod terminal;

use std::collections::BTreeMap;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

pub use stream::ConsoleStream;
pub use terminal::Terminal;

use crate::lxc::Lxc;
use crate::nodes::Node;
use crate::qemu::Qemu;
use crate::resource::Resource;
use crate::{Error, Params, Upid, lenient};

/// The consoles of a guest or a node.
#[derive(Clone, Debug)]
pub struct Consoles {
    place: Resource,
    /// A node names its calls differently.
    is_node: bool,
}

impl Qemu {
    /// Its consoles. It must run.
    pub fn consoles(&self) -> Consoles {
        Consoles { place: self.0.clone(), is_node: false }
    }
}

impl Lxc {
    /// Its consoles. It must run.
    pub fn consoles(&self) -> Consoles {
        Consoles { place: self.0.clone(), is_node: false }
    }
}

impl Node {
    /// Shells on the node itself: needs `Sys.Console`.
    pub fn consoles(&self) -> Consoles {
        Consoles { place: self.resource().clone(), is_node: true }
    }
}

/// A console that waits to be connected to.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct ConsoleTicket {
    /// The port on the node, from 5900; it goes into the websocket's call.
    #[serde(deserialize_with = "port")]
    pub port: u16,
    /// The ticket for the websocket's call, whole: `PVEVNC:…`, and with a
    /// password of eight characters before it (`abcdefgh:PVEVNC:…`) on newer
    /// releases.
    #[serde(deserialize_with = "secret")]
    pub ticket: SecretString,
    /// Who opened it.
    #[serde(default, deserialize_with = "lenient::string")]
    pub user: String,
    /// The password of the screen, from releases that make one.
    #[serde(default, deserialize_with = "opt_secret")]
    pub password: Option<SecretString>,
    /// The node's certificate, in PEM form.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub cert: Option<String>,
    /// The task that serves the console, and ends when nobody connects.
    pub upid: Option<Upid>,
}

impl ConsoleTicket {
    /// What a VNC client authenticates with: the password, or the first eight
    /// characters of the ticket (no more count in VNC's authentication, so
    /// this is right for both forms of ticket).
    pub fn vnc_password(&self) -> SecretString {
        match &self.password {
            Some(password) => password.clone(),
            None => self.ticket.expose_secret().chars().take(8).collect::<String>().into(),
        }
    }
}

fn port<'de, D: Deserializer<'de>>(d: D) -> Result<u16, D::Error> {
    let port = lenient::u32(d)?;
    u16::try_from(port).map_err(|_| serde::de::Error::custom("the port is no port"))
}

fn secret<'de, D: Deserializer<'de>>(d: D) -> Result<SecretString, D::Error> {
    Ok(lenient::string(d)?.into())
}

fn opt_secret<'de, D: Deserializer<'de>>(d: D) -> Result<Option<SecretString>, D::Error> {
    Ok(lenient::opt_string(d)?.map(Into::into))
}

/// What a SPICE viewer needs to know. Prints as the `.vv` file that
/// `remote-viewer` reads: **with the password**.
#[derive(Clone)]
pub struct SpiceFile(BTreeMap<String, String>);

impl SpiceFile {
    /// One of its values: `host`, `proxy`, `tls-port`, `password`, `ca`, …
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}

/// The names only.
impl fmt::Debug for SpiceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl fmt::Display for SpiceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[virt-viewer]\n")?;
        for (key, value) in &self.0 {
            writeln!(f, "{key}={}", value.replace('\n', "\\n"))?;
        }
        Ok(())
    }
}

impl Consoles {
    /// Opens a screen; [`connect`](Self::connect) does the rest.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request); a guest that does not
    /// run is refused.
    pub async fn open_vnc(&self) -> Result<ConsoleTicket, Error> {
        let call = if self.is_node { "vncshell" } else { "vncproxy" };
        self.open(call, Params::new().set("websocket", true)).await
    }

    /// Opens a terminal: a container's, a node's, or a serial port of a virtual
    /// machine (`serial0`; the first one that it has unless set).
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn open_terminal(&self, serial: Option<&str>) -> Result<ConsoleTicket, Error> {
        self.open("termproxy", Params::new().opt("serial", serial)).await
    }

    async fn open(&self, call: &str, params: Params) -> Result<ConsoleTicket, Error> {
        let reply = self.place.sub(call).post(params).await?;
        // The details may quote the ticket.
        reply.data().map_err(|_| Error::Malformed {
            call: reply.call.clone(),
            reason: "expected a port and a ticket".into(),
        })
    }

    /// Opens a screen by SPICE. `proxy` is the host name or address of a node
    /// that viewers can reach; the node that answers unless set.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request); `no spice port` when the
    /// guest's graphics card is not a `qxl`.
    pub async fn spice(&self, proxy: Option<&str>) -> Result<SpiceFile, Error> {
        let call = if self.is_node { "spiceshell" } else { "spiceproxy" };
        let reply = self.place.sub(call).post(Params::new().opt("proxy", proxy)).await?;
        let malformed = |_| Error::Malformed {
            call: reply.call.clone(),
            reason: "expected the values of a SPICE connection".into(),
        };
        let values: BTreeMap<String, serde_json::Value> = reply.data().map_err(malformed)?;
        let texts = values.into_iter().filter_map(|(key, value)| {
            let text = lenient::scalar(&value)?;
            Some((key, text))
        });
        Ok(SpiceFile(texts.collect()))
    }

    /// Connects to a console that was opened here or by a model: the bytes of
    /// its websocket, which for a screen are those of VNC (RFB).
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when the client has an API token; as
    /// [`Client::request`](crate::Client::request).
    pub async fn connect(&self, port: u16, ticket: &SecretString) -> Result<ConsoleStream, Error> {
        let path = self.place.path.sub("vncwebsocket");
        let params = Params::new().set("port", port).secret("vncticket", ticket.clone());
        let connection = self.place.client.websocket(&path, &params).await?;
        Ok(ConsoleStream::new(connection).await)
    }

    /// Opens a screen and connects to it. The password of the VNC session is
    /// [`ConsoleTicket::vnc_password`].
    ///
    /// # Errors
    /// As [`open_vnc`](Self::open_vnc) and [`connect`](Self::connect).
    pub async fn vnc(&self) -> Result<(ConsoleTicket, ConsoleStream), Error> {
        self.check_auth()?;
        let ticket = self.open_vnc().await?;
        let stream = self.connect(ticket.port, &ticket.ticket).await?;
        Ok((ticket, stream))
    }

    /// Opens a terminal, connects to it and logs in there.
    ///
    /// # Errors
    /// As [`open_terminal`](Self::open_terminal) and
    /// [`connect`](Self::connect); [`Error::Malformed`] when the terminal does
    /// not take the ticket.
    pub async fn terminal(&self) -> Result<Terminal, Error> {
        self.check_auth()?;
        let ticket = self.open_terminal(None).await?;
        let stream = self.connect(ticket.port, &ticket.ticket).await?;
        let call = self.place.client.checked(http::Method::GET, &self.place.path)?;
        let limit = self.place.client.timeouts().read;
        let log_in = Terminal::log_in(stream, &ticket.user, &ticket.ticket);
        let result = tokio::time::timeout(limit, log_in).await;
        let failed = |what: String| Error::Malformed { call, reason: what };
        match result {
            Ok(Ok(terminal)) => Ok(terminal),
            Ok(Err(error)) => Err(failed(format!("the terminal's log-in failed: {error}"))),
            Err(_) => Err(failed("the terminal's log-in was not answered in time".into())),
        }
    }

    /// Before anything is opened that nobody can connect to.
    fn check_auth(&self) -> Result<(), Error> {
        let path = self.place.path.sub("vncwebsocket");
        let call = self.place.client.checked(http::Method::GET, &path)?;
        self.place.client.check_websocket_auth(&call)
    }
}
