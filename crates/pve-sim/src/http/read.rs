//! Reads requests as pveproxy does, with its refusals.

use std::collections::BTreeMap;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderMap, TRANSFER_ENCODING};
use percent_encoding::percent_decode;
use serde_json::Value;

use super::multipart;
use crate::engine::{Credentials, Outcome, Reply, Request};

/// The largest body of a request that is no upload. Source: fact 12.
const MAX_BODY: usize = 512 * 1024;

/// The longest header, all lines together. Source: fact 12.
const MAX_HEAD: usize = 8 * 1024;

/// How long the body of a request may take that is no upload.
const MAX_BODY_TIME: std::time::Duration = std::time::Duration::from_secs(60);

fn plain(status: u16, text: &str) -> Outcome {
    let reason = text.lines().next().unwrap_or_default().to_owned();
    Outcome::Reply(Reply {
        status,
        reason,
        body: text.as_bytes().to_vec(),
        json: false,
        relayed: false,
    })
}

fn bare(status: u16, reason: &str) -> Outcome {
    Outcome::Reply(Reply {
        status,
        reason: reason.into(),
        body: Vec::new(),
        json: false,
        relayed: false,
    })
}

/// Reads a request; the error is the answer to one that pveproxy refuses.
pub(crate) async fn request(request: hyper::Request<Incoming>) -> Result<Request, Outcome> {
    let (parts, body) = request.into_parts();
    let head: usize =
        parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if head > MAX_HEAD {
        return Err(Outcome::Drop);
    }
    let method = parts.method.as_str().to_owned();
    if !matches!(method.as_str(), "GET" | "POST" | "PUT" | "DELETE") {
        return Err(bare(501, &format!("method '{method}' not available")));
    }
    if parts.headers.contains_key(TRANSFER_ENCODING) {
        return Err(plain(501, "chunked transfer encoding not supported"));
    }
    let path = path_of(parts.uri.path())?;
    let mut read = Request {
        method,
        path: path.path,
        asked: path.asked,
        extjs: path.extjs,
        credentials: credentials(&parts.headers),
        ..Request::default()
    };
    let has_body = !body.is_end_stream();
    let content_type =
        parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if has_body && matches!(read.method.as_str(), "GET" | "DELETE") {
        return Err(plain(501, &format!("Unexpected content for method '{}'", read.method)));
    }
    if read.method == "POST" && read.path.ends_with("/upload") && read.path.contains("/storage/") {
        // Anything but multipart makes pveproxy close the connection (fact 62).
        let boundary = multipart::boundary(content_type).ok_or(Outcome::Drop)?;
        let form = multipart::read(body, &boundary).await.map_err(|()| Outcome::Drop)?;
        read.parameters = form.fields;
        read.upload = form.upload;
    } else if has_body || !content_type.is_empty() {
        let collected = tokio::time::timeout(MAX_BODY_TIME, Limited::new(body, MAX_BODY).collect());
        let bytes = match collected.await.map_err(|_| Outcome::Drop)? {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.downcast_ref::<http_body_util::LengthLimitError>().is_some() => {
                return Err(plain(501, "for data too large"));
            }
            Err(_) => return Err(Outcome::Drop),
        };
        read.parameters = body_of(&read.method, content_type, &bytes)?;
    }
    // The query wins over the body (fact 15).
    read.parameters.extend(form(parts.uri.query().unwrap_or_default().as_bytes()));
    Ok(read)
}

/// What a request's path says.
#[derive(Debug, Default, PartialEq)]
struct Path {
    /// Below the format segment, decoded, repeated slashes folded.
    path: String,
    /// The same with all its slashes, as refusals show it.
    asked: String,
    extjs: bool,
}

fn path_of(raw: &str) -> Result<Path, Outcome> {
    let decoded = percent_decode(raw.as_bytes()).decode_utf8_lossy().into_owned();
    let folded = fold(&decoded);
    if !folded.starts_with("/api2") {
        return Err(plain(500, &format!("no such file '{folded}'\n")));
    }
    let after = |text: &str, word: &str| {
        let rest = text.trim_start_matches('/').strip_prefix(word)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
    };
    let below = after(&decoded, "api2").unwrap_or_default();
    let format = below.split('/').find(|part| !part.is_empty()).unwrap_or_default();
    if format.is_empty() {
        return Err(plain(501, "no such uri"));
    }
    let asked = after(&below, format).unwrap_or_default();
    let path = fold(&asked).trim_end_matches('/').to_owned();
    match format {
        "json" => Ok(Path { path, asked, extjs: false }),
        "extjs" => Ok(Path { path, asked, extjs: true }),
        other => Err(plain(501, &format!("no formatter for uri {path}, {other}"))),
    }
}

/// Makes one slash of several.
fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for character in text.chars() {
        if character != '/' || !folded.ends_with('/') {
            folded.push(character);
        }
    }
    folded
}

fn credentials(headers: &HeaderMap) -> Credentials {
    let mut found = Credentials::default();
    let decode = |text: &str| percent_decode(text.as_bytes()).decode_utf8_lossy().into_owned();
    for cookie in headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()) {
        for part in cookie.split(';') {
            if let Some(ticket) = part.trim().strip_prefix("PVEAuthCookie=") {
                found.ticket = Some(decode(ticket));
            }
        }
    }
    if let Some(text) = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()) {
        if let Some(ticket) = text.strip_prefix("PVEAuthCookie=") {
            found.ticket.get_or_insert_with(|| decode(ticket));
        } else if let Some(token) = text.strip_prefix("PVEAPIToken=") {
            found.token = Some(token.to_owned());
        }
    }
    found.csrf =
        headers.get("CSRFPreventionToken").and_then(|value| value.to_str().ok()).map(str::to_owned);
    found
}

fn body_of(
    method: &str,
    content_type: &str,
    bytes: &Bytes,
) -> Result<BTreeMap<String, Value>, Outcome> {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    match kind {
        "" | "application/x-www-form-urlencoded" => Ok(form(bytes)),
        "application/json" => {
            // Only methods that may have a body are decoded.
            if method == "GET" || method == "DELETE" {
                return Ok(BTreeMap::new());
            }
            json_body(bytes)
        }
        other => Err(plain(506, &format!("upload 'Content-Type '{other}' not implemented"))),
    }
}

fn json_body(bytes: &Bytes) -> Result<BTreeMap<String, Value>, Outcome> {
    const PLACE: &str = "at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line 917.\n";
    if bytes.iter().all(u8::is_ascii_whitespace) {
        let text = "malformed JSON string, neither tag, array, object, number, string or atom, \
                    at character offset 0 (before \"(end of string)\")";
        return Err(plain(500, &format!("{text} {PLACE}")));
    }
    match serde_json::from_slice::<Value>(bytes) {
        Ok(Value::Object(map)) => Ok(map.into_iter().collect()),
        Ok(_) => Err(plain(500, &format!("Not a HASH reference {PLACE}"))),
        Err(error) => {
            let offset = error.column().saturating_sub(1);
            let rest =
                String::from_utf8_lossy(bytes.get(offset..).unwrap_or_default()).into_owned();
            let in_object = bytes.first() == Some(&b'{') && offset > 0;
            let what = if in_object { "'\"' expected" } else { "malformed JSON string" };
            Err(plain(
                500,
                &format!("{what}, at character offset {offset} (before \"{rest}\") {PLACE}"),
            ))
        }
    }
}

/// Decodes a form: parts end at `&` or `;`, repeated keys make a list, and a
/// second `=` cuts the value (facts 14, 16 and 74).
pub(crate) fn form(text: &[u8]) -> BTreeMap<String, Value> {
    let decode = |raw: &[u8]| {
        let spaced: Vec<u8> =
            raw.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        percent_decode(&spaced).decode_utf8_lossy().into_owned()
    };
    let mut found: BTreeMap<String, Value> = BTreeMap::new();
    for part in text.split(|byte| matches!(byte, b'&' | b';')).filter(|part| !part.is_empty()) {
        let mut pieces = part.split(|byte| *byte == b'=');
        let key = decode(pieces.next().unwrap_or_default());
        let value = Value::String(decode(pieces.next().unwrap_or_default()));
        match found.get_mut(&key) {
            None => {
                found.insert(key, value);
            }
            Some(Value::Array(list)) => list.push(value),
            Some(first) => *first = Value::Array(vec![first.clone(), value]),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn fact_14_an_unescaped_semicolon_splits_a_parameter() {
        assert_eq!(
            json!(form(b"vmid=500&boot=order=scsi0;net0")),
            json!({"vmid": "500", "boot": "order", "net0": ""})
        );
        assert_eq!(json!(form(b"boot=order%3Dscsi0%3Bnet0")), json!({"boot": "order=scsi0;net0"}));
    }

    #[test]
    fn fact_16_repeated_keys_make_a_list() {
        assert_eq!(
            json!(form(b"command=echo&command=a+b&command=c")),
            json!({"command": ["echo", "a b", "c"]})
        );
    }

    #[test]
    fn double_slashes_are_folded_and_other_formats_refused() {
        let path = path_of("/api2/json//nodes//pve1/").unwrap();
        assert_eq!((path.path.as_str(), path.extjs), ("/nodes/pve1", false));
        assert_eq!(path.asked, "//nodes//pve1/");
        assert!(path_of("/api2/extjs/version").unwrap().extjs);
        assert_eq!(
            path_of("/api2/xyz/version"),
            Err(plain(501, "no formatter for uri /version, xyz"))
        );
        assert_eq!(path_of("/api3/x"), Err(plain(500, "no such file '/api3/x'\n")));
    }

    proptest::proptest! {
        #[test]
        fn any_form_is_decoded(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = form(&bytes);
            let _ = path_of(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn any_property_string_is_checked(text in ".{0,60}") {
            use crate::schema::{Table, Version, check};
            let table = Table::of(Version::V8_4);
            let (create, _) = table.find("POST", "/nodes/x/qemu").unwrap();
            for name in ["net0", "scsi0", "memory", "boot", "ipconfig0", "sshkeys", "tags", "cpu", "agent"] {
                let parameter = table.methods[create].parameter(name).unwrap();
                let _ = check::one(parameter, name, &text);
            }
        }
    }
}
