//! The HTTP side: TLS, reading requests as pveproxy does, writing its answers.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, DATE, EXPIRES,
    HeaderValue, PRAGMA, SERVER,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::engine::{Engine, Outcome, Reply};
use crate::schema::check;

mod console;
#[cfg(test)]
mod fuzz;
pub(crate) mod multipart;
mod read;
pub(crate) mod tls;

/// Open connections at most; more are refused. Source: pveproxy's own default
/// of 3 workers with 500 connections each is of this order.
const MAX_CONNECTIONS: usize = 1_500;

/// How long a client may take for a handshake, and for the head or the next
/// part of a request.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// Bodies of more bytes are compressed for clients that take gzip. Source: fact 20.
const COMPRESS_ABOVE: usize = 1024;

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is dropped on purpose")]
struct Dropped;

/// Accepts connections until the task is aborted.
pub(crate) async fn serve(listener: TcpListener, tls: TlsAcceptor, engine: Arc<Engine>) {
    let limit = Arc::new(tokio::sync::Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let Ok(permit) = limit.clone().try_acquire_owned() else { continue };
        let (tls, engine) = (tls.clone(), engine.clone());
        tokio::spawn(async move {
            let _permit = permit;
            if let Err(error) = connection(stream, tls, engine).await {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
}

async fn connection(
    stream: TcpStream,
    tls: TlsAcceptor,
    engine: Arc<Engine>,
) -> Result<(), String> {
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let mut first = [0];
    let peeked = tokio::time::timeout(PATIENCE, stream.peek(&mut first)).await;
    let read = peeked.map_err(|_| "nothing was sent")?.map_err(|error| error.to_string())?;
    // A TLS record that starts a handshake begins with 0x16.
    if read == 1 && first[0] != 0x16 {
        return redirect(stream).await;
    }
    let accepted = tokio::time::timeout(PATIENCE, tls.accept(stream)).await;
    let stream = accepted.map_err(|_| "no TLS handshake")?.map_err(|error| error.to_string())?;
    let service = hyper::service::service_fn(move |request| answer(engine.clone(), request));
    protocol()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await
        .map_err(|error| error.to_string())
}

/// HTTP with the limits and the spelling of pveproxy.
fn protocol() -> hyper::server::conn::http1::Builder {
    let mut protocol = hyper::server::conn::http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .title_case_headers(true)
        .max_headers(64);
    protocol
}

/// Plain HTTP is answered with a redirection to HTTPS (fact 20).
async fn redirect(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), String> {
    let mut buffer = vec![0; 4096];
    let read = stream.read(&mut buffer).await.map_err(|error| error.to_string())?;
    let head = String::from_utf8_lossy(&buffer[..read]);
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    let status = if words.next() == Some("GET") {
        "301 Moved Permanently"
    } else {
        "308 Permanent Redirect"
    };
    let path = words.next().unwrap_or("/");
    let host = head.lines().find_map(|line| {
        line.to_ascii_lowercase().strip_prefix("host:").map(|host| host.trim().to_owned())
    });
    let host = host.unwrap_or_else(|| "localhost".into());
    let text = format!(
        "HTTP/1.1 {status}\r\nLocation: https://{host}{path}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(text.as_bytes()).await.map_err(|error| error.to_string())
}

async fn answer(
    engine: Arc<Engine>,
    mut request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Full<Bytes>>, Dropped> {
    let upgrade =
        console::key(request.headers()).filter(|_| request.uri().path().ends_with("/vncwebsocket"));
    let upgrade = upgrade.map(|key| (key, hyper::upgrade::on(&mut request)));
    let gzip = request
        .headers()
        .get(ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("gzip"));
    let outcome = match read::request(request).await {
        Ok(request) => {
            let port = request.parameters.get("port").and_then(check::scalar);
            let outcome = engine.handle(request).await;
            if let (Some((key, upgrade)), Outcome::Reply(reply)) = (upgrade, &outcome)
                && reply.status == 200
                && let Some(console) = engine.world().take_console(port.as_deref())
            {
                tokio::spawn(console::serve(upgrade, console));
                let mut response = hyper::Response::new(Full::default());
                *response.status_mut() = hyper::StatusCode::SWITCHING_PROTOCOLS;
                console::accept(&key, response.headers_mut());
                return Ok(response);
            }
            outcome
        }
        Err(outcome) => outcome,
    };
    match outcome {
        Outcome::Reply(reply) => Ok(write(reply, gzip)),
        Outcome::Drop => Err(Dropped),
    }
}

/// The body in gzip form, when the client takes it and it is worth it.
fn compressed(body: &[u8], gzip: bool) -> Option<Vec<u8>> {
    if !gzip || body.len() <= COMPRESS_ABOVE {
        return None;
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

fn write(reply: Reply, gzip: bool) -> hyper::Response<Full<Bytes>> {
    let short = compressed(&reply.body, gzip);
    let is_short = short.is_some();
    let mut response = hyper::Response::new(Full::new(Bytes::from(short.unwrap_or(reply.body))));
    if let Ok(status) = hyper::StatusCode::from_u16(reply.status) {
        *response.status_mut() = status;
    }
    let reason: Vec<u8> = reply.reason.bytes().filter(|byte| !byte.is_ascii_control()).collect();
    if let Ok(reason) = hyper::ext::ReasonPhrase::try_from(reason) {
        response.extensions_mut().insert(reason);
    }
    let headers = response.headers_mut();
    let date = httpdate();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=0"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(SERVER, HeaderValue::from_static("pve-api-daemon/3.0"));
    if let Ok(date) = HeaderValue::from_str(&date) {
        headers.insert(DATE, date.clone());
        headers.insert(EXPIRES, date);
    }
    if reply.status >= 400 || reply.relayed {
        headers.append(CONNECTION, HeaderValue::from_static("close"));
    }
    if reply.status < 400 {
        headers.append(CONNECTION, HeaderValue::from_static("Keep-Alive"));
    }
    if is_short {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if reply.json {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json;charset=UTF-8"));
    }
    response
}

/// The real time in the form of HTTP dates; no client of the simulator
/// compares it with virtual time.
fn httpdate() -> String {
    let seconds = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    date(seconds)
}

/// Seconds since the Unix epoch in the form of HTTP dates.
pub(crate) fn date(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Civil date from days since 1970-01-01 (Howard Hinnant's algorithm).
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][(days % 7) as usize];
    let months =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let name = months[(month as usize).saturating_sub(1).min(11)];
    format!(
        "{weekday}, {day:02} {name} {year} {:02}:{:02}:{:02} GMT",
        rest / 3600,
        rest % 3600 / 60,
        rest % 60
    )
}
