//! Consoles: where to connect to.

use std::fmt;

use secrecy::SecretString;
use serde::Deserialize;

use super::{Guest, GuestKind, Lxc, Qemu};
use crate::models::{Attributes, Task};
use crate::resource::Resource;
use crate::{Error, Params, Upid, lenient};

/// What a console speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConsoleKind {
    /// A screen, by VNC over a websocket.
    Vnc,
    /// A text terminal over a websocket.
    Terminal,
    /// A screen, by SPICE through a proxy.
    Spice,
}

/// A console that waits for a connection. Its ticket is good for a few seconds.
#[derive(Clone)]
pub struct Console {
    kind: ConsoleKind,
    port: Option<u16>,
    user: Option<String>,
    ticket: Option<SecretString>,
    password: Option<SecretString>,
    task: Option<Task>,
    attributes: Attributes,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default, deserialize_with = "lenient::opt_u32")]
    port: Option<u32>,
    #[serde(default, deserialize_with = "lenient::opt_string")]
    user: Option<String>,
    #[serde(default, deserialize_with = "lenient::opt_string")]
    ticket: Option<String>,
    #[serde(default, deserialize_with = "lenient::opt_string")]
    password: Option<String>,
    #[serde(default, deserialize_with = "lenient::opt_string")]
    upid: Option<String>,
}

/// Without its secrets.
impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console")
            .field("kind", &self.kind)
            .field("port", &self.port)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Console {
    async fn open(resource: Resource, kind: ConsoleKind, params: Params) -> Result<Self, Error> {
        let call = match kind {
            ConsoleKind::Vnc => "vncproxy",
            ConsoleKind::Terminal => "termproxy",
            ConsoleKind::Spice => "spiceproxy",
        };
        let reply = resource.sub(call).post(params).await?;
        let (answer, attributes): (Answer, Attributes) = (reply.data()?, reply.data()?);
        let upid = answer.upid.and_then(|upid| upid.parse::<Upid>().ok());
        Ok(Self {
            kind,
            port: answer.port.and_then(|port| port.try_into().ok()),
            user: answer.user,
            ticket: answer.ticket.map(Into::into),
            password: answer.password.map(Into::into),
            task: upid.map(|upid| Task::new(&resource.client, upid)),
            attributes,
        })
    }

    /// What it speaks.
    pub fn kind(&self) -> ConsoleKind {
        self.kind
    }

    /// The port on the node, which the websocket call takes.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Who opened it.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The ticket that the websocket call takes.
    pub fn ticket(&self) -> Option<&SecretString> {
        self.ticket.as_ref()
    }

    /// The password of VNC, when one was asked for, or of SPICE.
    pub fn password(&self) -> Option<&SecretString> {
        self.password.as_ref()
    }

    /// The task that serves it, and ends when nobody connects.
    pub fn task(&self) -> Option<&Task> {
        self.task.as_ref()
    }

    /// Everything that was answered: **with the secrets**. For SPICE these are
    /// the lines of a `.vv` file.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }
}

impl<K: GuestKind> Guest<K> {
    /// Opens a screen. The guest must run.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn vnc(&self) -> Result<Console, Error> {
        let params = Params::new().set("websocket", true);
        Console::open(self.resource(), ConsoleKind::Vnc, params).await
    }

    /// Opens a text terminal: a container's, or the serial port of a virtual
    /// machine.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request). A terminal's websocket does not take API tokens.
    pub async fn terminal(&self) -> Result<Console, Error> {
        Console::open(self.resource(), ConsoleKind::Terminal, Params::new()).await
    }

    /// Opens a screen by SPICE, through this proxy (a node's address) or the
    /// node that answers.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn spice(&self, proxy: Option<&str>) -> Result<Console, Error> {
        let params = Params::new().opt("proxy", proxy);
        Console::open(self.resource(), ConsoleKind::Spice, params).await
    }
}

impl Guest<Qemu> {
    /// The console that its graphics card asks for: SPICE for `qxl`, a terminal
    /// for a serial port, VNC for everything else.
    pub fn console_kind(&self) -> ConsoleKind {
        let vga = self.option("vga").and_then(|text| text.parse().ok());
        let kind = vga.as_ref().map_or("std", |vga: &crate::property::Vga| vga.kind());
        match kind {
            kind if kind.starts_with("qxl") => ConsoleKind::Spice,
            kind if kind.starts_with("serial") => ConsoleKind::Terminal,
            _ => ConsoleKind::Vnc,
        }
    }

    /// Opens the console that its graphics card asks for. It must run.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn start_console(&self) -> Result<Console, Error> {
        match self.console_kind() {
            ConsoleKind::Spice => self.spice(None).await,
            ConsoleKind::Terminal => self.terminal().await,
            ConsoleKind::Vnc => self.vnc().await,
        }
    }
}

impl Guest<Lxc> {
    /// Opens its text terminal. It must run.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn start_console(&self) -> Result<Console, Error> {
        self.terminal().await
    }
}
