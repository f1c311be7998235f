//! Which console a guest has, and opening it.

use super::{Guest, Lxc, Qemu};
use crate::Error;
use crate::console::{ConsoleTicket, Consoles, SpiceFile};

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

/// A console that waits to be connected to, by
/// [`Consoles::connect`] or by a SPICE viewer. Its ticket is good for some
/// seconds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Console {
    /// A screen, by VNC over a websocket.
    Vnc(ConsoleTicket),
    /// A text terminal over a websocket.
    Terminal(ConsoleTicket),
    /// A screen, by SPICE through a proxy.
    Spice(SpiceFile),
}

impl Console {
    /// What it speaks.
    pub fn kind(&self) -> ConsoleKind {
        match self {
            Self::Vnc(_) => ConsoleKind::Vnc,
            Self::Terminal(_) => ConsoleKind::Terminal,
            Self::Spice(_) => ConsoleKind::Spice,
        }
    }

    /// Port and ticket, unless it is SPICE.
    pub fn ticket(&self) -> Option<&ConsoleTicket> {
        match self {
            Self::Vnc(ticket) | Self::Terminal(ticket) => Some(ticket),
            Self::Spice(_) => None,
        }
    }
}

impl Guest<Qemu> {
    /// Its consoles: to open one of a kind, and to connect as a byte stream.
    pub fn consoles(&self) -> Consoles {
        self.requests().consoles()
    }

    /// The console that its graphics card asks for: SPICE for `qxl`, a terminal
    /// for a serial port, VNC for everything else.
    pub fn console_kind(&self) -> ConsoleKind {
        let vga = self.config.get("vga").and_then(|text| text.parse().ok());
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
        let consoles = self.consoles();
        Ok(match self.console_kind() {
            ConsoleKind::Spice => Console::Spice(consoles.spice(None).await?),
            ConsoleKind::Terminal => Console::Terminal(consoles.open_terminal(None).await?),
            ConsoleKind::Vnc => Console::Vnc(consoles.open_vnc().await?),
        })
    }
}

impl Guest<Lxc> {
    /// Its consoles: to open one of a kind, and to connect as a byte stream.
    pub fn consoles(&self) -> Consoles {
        self.requests().consoles()
    }

    /// Opens its text terminal. It must run.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn start_console(&self) -> Result<Console, Error> {
        Ok(Console::Terminal(self.consoles().open_terminal(None).await?))
    }
}
