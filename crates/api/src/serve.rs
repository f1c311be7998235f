//! A door's listener: connections with limits, and a stop that lets requests
//! end.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

mod stall;

use stall::Stall;

/// What one listener takes.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Connections at the same time; more wait in the kernel's queue.
    pub connections: usize,
    /// How long a client may take to send a request's head, and how long a
    /// connection may idle between requests.
    pub head_timeout: Duration,
    /// How long a client may leave its answer unread.
    pub stall_timeout: Duration,
    /// Headers of one request.
    pub headers: usize,
    /// Bytes of one request's head.
    pub head_bytes: usize,
    /// How long requests may take to end once the door closes.
    pub drain: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            head_timeout: Duration::from_secs(15),
            stall_timeout: Duration::from_secs(15),
            headers: 64,
            head_bytes: 16 << 10,
            drain: Duration::from_secs(10),
        }
    }
}

/// Serves `router` until `shutdown`, then lets the requests under way end.
///
/// For TCP, `listener.tap_io(|stream| …)` (`axum::serve::ListenerExt`) is where
/// `set_nodelay` goes.
pub async fn serve<L: Listener>(
    mut listener: L,
    router: Router,
    limits: ConnectionLimits,
    shutdown: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            // The semaphore is never closed; without a slot nothing is accepted.
            let slot = slots.clone().acquire_owned().await.ok()?;
            let (io, _) = listener.accept().await;
            Some((io, slot))
        };
        let (io, slot) = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accepted => match accepted {
                Some(accepted) => accepted,
                None => break,
            },
        };
        connections.spawn(connection(io, router.clone(), limits, shutdown.clone(), slot));
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain, drained).await.is_err() {
        tracing::warn!(open = connections.len(), "connections are cut, their requests did not end");
        connections.shutdown().await;
    }
}

async fn connection<Io>(
    io: Io,
    router: Router,
    limits: ConnectionLimits,
    shutdown: CancellationToken,
    _slot: OwnedSemaphorePermit,
) where
    Io: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_headers(limits.headers)
        .max_header_size(limits.head_bytes)
        .serve_connection(
            TokioIo::new(Stall::new(io, limits.stall_timeout)),
            TowerToHyperService::new(router),
        );
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Clients that go away or stall are everyday.
        tracing::debug!(%error, "a connection ended early");
    }
}

/// A Unix socket that only this user can connect to. A socket that a dead
/// server left behind is replaced; one that is in use is not.
///
/// # Errors
/// What the system says; [`io::ErrorKind::AddrInUse`] when another server
/// listens there or something else is in the place.
pub async fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    if let Ok(found) = std::fs::symlink_metadata(path) {
        let taken = |what: &str| {
            io::Error::new(io::ErrorKind::AddrInUse, format!("{}: {what}", path.display()))
        };
        if !found.file_type().is_socket() {
            return Err(taken("there is something that is not a socket"));
        }
        if UnixStream::connect(path).await.is_ok() {
            return Err(taken("another server listens there"));
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

#[cfg(test)]
mod tests;
