//! Requests, parameters and answers between the HTTP side and the engine.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::fail::Fail;
use crate::schema::Version;

/// What a client sent to prove who it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Credentials {
    pub ticket: Option<String>,
    pub csrf: Option<String>,
    pub token: Option<String>,
}

/// The checksums of a file in hexadecimal form, by the API's names of the algorithms.
pub(crate) type Digests = BTreeMap<String, String>;

/// A file that came with a request.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub filename: String,
    pub size: u64,
    pub digests: Digests,
    /// Its first bytes, by which an image is known.
    pub head: Vec<u8>,
}

/// A decoded request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub method: String,
    /// Below `/api2/json`, decoded, without repeated slashes.
    pub path: String,
    /// The path with the slashes that the client sent.
    pub asked: String,
    pub extjs: bool,
    pub parameters: BTreeMap<String, Value>,
    pub credentials: Credentials,
    pub upload: Option<Upload>,
    /// Its number in the request log.
    pub sequence: u64,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub status: u16,
    pub reason: String,
    pub body: Vec<u8>,
    pub json: bool,
    /// Whether pvedaemon answered and pveproxy passed it on.
    pub relayed: bool,
}

/// What becomes of a connection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    Reply(Reply),
    Drop,
}

/// Checked parameters: texts, and lists where the schema says array.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params {
    pub texts: BTreeMap<String, String>,
    pub lists: BTreeMap<String, Vec<String>>,
}

impl Params {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }

    /// A parameter that the schema requires; empty when it is absent all the same.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    pub fn number(&self, name: &str) -> Option<u64> {
        self.get(name).and_then(|text| text.parse().ok())
    }

    pub fn flag(&self, name: &str) -> bool {
        self.get(name) == Some("1")
    }

    pub fn vmid(&self) -> u32 {
        self.get("vmid").and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    pub fn node(&self) -> &str {
        self.text("node")
    }
}

/// An answer without a body, as pveproxy gives when it gives up.
pub(super) fn empty(status: u16) -> Reply {
    let reason = match status {
        595 => "Connection refused",
        596 => "Connection timed out",
        599 => "Connection reset by peer",
        _ => "",
    };
    Reply { status, reason: reason.into(), body: Vec::new(), json: false, relayed: false }
}

/// What a call answers with.
pub(super) enum Data {
    Value(Value),
    /// JSON text: a list of all guests is large, and is written without a tree of values.
    Written(String),
}

impl From<Value> for Data {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

impl Data {
    /// The value, parsed if need be.
    pub fn to_value(&self) -> Cow<'_, Value> {
        match self {
            Self::Value(value) => Cow::Borrowed(value),
            // What this program wrote itself; a text that is no JSON is `null`, which the checks refuse.
            Self::Written(text) => Cow::Owned(serde_json::from_str(text).unwrap_or_default()),
        }
    }
}

/// The answer of a call that was carried out.
pub(super) fn succeeded(
    data: &Data,
    beside: &[(&'static str, Value)],
    relayed: bool,
    extjs: bool,
) -> Reply {
    let mut body = match data {
        Data::Value(value) => format!("{{\"data\":{value}"),
        Data::Written(text) => format!("{{\"data\":{text}"),
    };
    for (name, value) in beside {
        body += &format!(",\"{name}\":{value}");
    }
    body += if extjs { ",\"success\":1}" } else { "}" };
    Reply { status: 200, reason: "OK".into(), body: body.into_bytes(), json: true, relayed }
}

/// The answer of a call that was refused.
///
/// `relayed`: pvedaemon refused it and pveproxy passed the refusal on.
pub(super) fn failed(fail: &Fail, request: &Request, relayed: bool, version: Version) -> Reply {
    let mut body = json!({"data": null});
    // Before 8 only the reason phrase had the text, but for the format of the web pages (recorded).
    if version >= Version::V8_4 || request.extjs {
        // The texts of 501 carry no final newline, all others do (recorded).
        let newline = if fail.status == 501 { "" } else { "\n" };
        body["message"] = json!(format!("{}{newline}", fail.text));
    }
    if !fail.errors.is_empty() {
        body["errors"] = json!(fail.errors);
    }
    let reason = fail.text.lines().next().unwrap_or_default().to_owned();
    if request.extjs {
        body["success"] = json!(0);
        // pveproxy writes a status that it has read from pvedaemon as a string (recorded).
        body["status"] = if relayed { json!(fail.status.to_string()) } else { json!(fail.status) };
        return Reply {
            status: 200,
            reason: "OK".into(),
            body: body.to_string().into_bytes(),
            json: true,
            relayed,
        };
    }
    Reply {
        status: fail.status,
        reason,
        body: body.to_string().into_bytes(),
        json: true,
        relayed: false,
    }
}
