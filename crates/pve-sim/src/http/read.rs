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
    let method = parts.method.as_str().to_owned();
    if !matches!(method.as_str(), "GET" | "POST" | "PUT" | "DELETE") {
        return Err(bare(501, &format!("method '{method}' not available")));
    }
    if parts.headers.contains_key(TRANSFER_ENCODING) {
        return Err(plain(501, "chunked transfer encoding not supported"));
    }
    let (path, extjs) = path_of(parts.uri.path())?;
    let mut read = Request {
        method,
        path,
        extjs,
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
        let bytes = match Limited::new(body, MAX_BODY).collect().await {
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

/// The path below the format segment, decoded, repeated slashes folded.
fn path_of(raw: &str) -> Result<(String, bool), Outcome> {
    let decoded = percent_decode(raw.as_bytes()).decode_utf8_lossy().into_owned();
    let mut folded = String::with_capacity(decoded.len());
    for character in decoded.chars() {
        if character != '/' || !folded.ends_with('/') {
            folded.push(character);
        }
    }
    let Some(rest) = folded.strip_prefix("/api2") else {
        return Err(plain(500, &format!("no such file '{folded}'\n")));
    };
    let Some(rest) = rest.strip_prefix('/').filter(|rest| !rest.is_empty()) else {
        return Err(plain(501, "no such uri"));
    };
    let (format, path) = rest
        .split_once('/')
        .map_or((rest, String::new()), |(format, path)| (format, format!("/{path}")));
    let path = path.trim_end_matches('/').to_owned();
    match format {
        "json" => Ok((path, false)),
        "extjs" => Ok((path, true)),
        other => Err(plain(501, &format!("no formatter for uri {path}, {other}"))),
    }
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
        assert_eq!(path_of("/api2/json//nodes//pve1/").unwrap(), ("/nodes/pve1".to_owned(), false));
        assert!(path_of("/api2/extjs/version").unwrap().1);
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
