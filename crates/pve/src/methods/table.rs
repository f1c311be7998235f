//! The table itself.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use http::Method;
use serde::Deserialize;

use crate::Release;
use crate::property::{KeyKind, RawKey};

const TABLE: &str = include_str!("table.json");

/// A method of the API.
#[derive(Debug)]
pub struct ApiMethod {
    verb: Method,
    path: String,
    /// Of 8.4 and of 9.2.
    signatures: [Option<Signature>; 2],
}

/// What a method takes and gives in one release.
#[derive(Debug)]
pub struct Signature {
    parameters: Vec<Parameter>,
    returns: String,
    permissions: Option<String>,
    protected: bool,
    refuses_tokens: bool,
    open: bool,
}

/// A parameter of a method.
#[derive(Debug)]
pub struct Parameter {
    name: String,
    definition: &'static Definition,
}

#[derive(Debug)]
struct Definition {
    kind: KeyKind,
    type_name: String,
    required: bool,
    requires: Option<String>,
}

impl ApiMethod {
    /// GET, POST, PUT or DELETE.
    pub fn verb(&self) -> &Method {
        &self.verb
    }

    /// The path below `/api2/json`, with placeholders: `/nodes/{node}/qemu`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The placeholders of the path, in order: `node`, `vmid`.
    pub fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').filter_map(placeholder)
    }

    /// What it takes and gives in this release; `None` when the release does
    /// not have it.
    pub fn signature(&self, release: Release) -> Option<&Signature> {
        let [older, newer] = &self.signatures;
        if release >= Release::new(9, 0) { newer.as_ref() } else { older.as_ref() }
    }

    pub(super) fn leads_to(&self, given: &[&str]) -> bool {
        let own: Vec<&str> = self.path.trim_start_matches('/').split('/').collect();
        let alike = |own: &[&str], given: &[&str]| {
            let mut pairs = own.iter().zip(given);
            pairs.all(|(own, given)| match placeholder(own) {
                Some(_) => !given.is_empty(),
                None => own == given,
            })
        };
        let swallows = own.last() == Some(&"{volume}") && given.len() > own.len();
        (own.len() == given.len() || swallows) && alike(&own, given)
    }

    pub(super) fn literal_segments(&self) -> usize {
        self.path.split('/').filter(|segment| placeholder(segment).is_none()).count()
    }
}

/// `node` of `{node}`.
pub(super) fn placeholder(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

impl Signature {
    /// The parameters, sorted by name; those of the path are among them. A name
    /// like `net[n]` stands for `net0`, `net1`, ….
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// What `data` is: `null`, `string`, `integer`, `boolean`, `object`,
    /// `array`, `any`; with a `?` behind it when it may be absent.
    pub fn returns(&self) -> &str {
        &self.returns
    }

    /// Who may call it: `perm /vms/{vmid} VM.Audit`, `user all`. `None`: only
    /// root, or the schema does not say.
    pub fn permissions(&self) -> Option<&str> {
        self.permissions.as_deref()
    }

    /// Is it carried out by the privileged daemon?
    pub fn is_protected(&self) -> bool {
        self.protected
    }

    /// Can it be called with an API token?
    pub fn allows_tokens(&self) -> bool {
        !self.refuses_tokens
    }

    /// Does it take parameters that the schema does not name?
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// A parameter by its name: `net0` finds `net[n]`.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        let find = |name: &str| {
            let found = self.parameters.binary_search_by(|row| row.name.as_str().cmp(name));
            self.parameters.get(found.ok()?)
        };
        find(name).or_else(|| {
            let word = name.trim_end_matches(|c: char| c.is_ascii_digit());
            let proper = word != name && !name.ends_with(']');
            proper.then(|| find(&format!("{word}[n]"))).flatten()
        })
    }
}

impl Parameter {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its value may be.
    pub fn kind(&self) -> &KeyKind {
        &self.definition.kind
    }

    /// The schema's word for its type: `string`, `array`, ….
    pub fn type_name(&self) -> &str {
        &self.definition.type_name
    }

    /// Must it be given?
    pub fn is_required(&self) -> bool {
        self.definition.required
    }

    /// The parameter without which it may not be given.
    pub fn requires(&self) -> Option<&str> {
        self.definition.requires.as_deref()
    }
}

#[derive(Deserialize)]
struct File {
    definitions: Vec<RawKey>,
    methods: Vec<RawMethod>,
}

#[derive(Deserialize)]
struct RawMethod {
    verb: String,
    path: String,
    both: Option<RawSignature>,
    #[serde(rename = "8.4")]
    older: Option<RawSignature>,
    #[serde(rename = "9.2")]
    newer: Option<RawSignature>,
}

#[derive(Clone, Deserialize)]
struct RawSignature {
    parameters: BTreeMap<String, usize>,
    returns: String,
    permissions: Option<String>,
    #[serde(default)]
    protected: u8,
    allowtoken: Option<u8>,
    #[serde(default)]
    open: u8,
}

fn signature(raw: RawSignature, definitions: &'static [Definition]) -> Signature {
    let parameters = raw
        .parameters
        .into_iter()
        .filter_map(|(name, place)| Some(Parameter { name, definition: definitions.get(place)? }));
    Signature {
        parameters: parameters.collect(),
        returns: raw.returns,
        permissions: raw.permissions,
        protected: raw.protected != 0,
        refuses_tokens: raw.allowtoken == Some(0),
        open: raw.open != 0,
    }
}

fn read() -> (Vec<Definition>, Vec<RawMethod>) {
    #[allow(clippy::expect_used, reason = "the file is part of the program, and tested")]
    let file: File = serde_json::from_str(TABLE).expect("the table of methods is JSON");
    let definitions = file.definitions.into_iter().map(|raw| Definition {
        kind: raw.value_kind(),
        type_name: raw.kind.unwrap_or_else(|| "any".to_owned()),
        required: raw.required != 0,
        requires: raw.requires,
    });
    (definitions.collect(), file.methods)
}

pub(super) fn methods() -> &'static [ApiMethod] {
    static DEFINITIONS: OnceLock<Vec<Definition>> = OnceLock::new();
    static METHODS: OnceLock<Vec<ApiMethod>> = OnceLock::new();
    METHODS.get_or_init(|| {
        let (definitions, rows) = read();
        let definitions = DEFINITIONS.get_or_init(|| definitions);
        let build = |raw: RawMethod| {
            let of = |one: Option<RawSignature>, both: &Option<RawSignature>| {
                one.or_else(|| both.clone()).map(|raw| signature(raw, definitions))
            };
            Some(ApiMethod {
                verb: Method::from_bytes(raw.verb.as_bytes()).ok()?,
                signatures: [of(raw.older, &raw.both), of(raw.newer, &raw.both)],
                path: raw.path,
            })
        };
        rows.into_iter().filter_map(build).collect()
    })
}
