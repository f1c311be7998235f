//! The methods of the API: paths, parameters and permissions, from tables that
//! `cargo xtask pve-schema` generates for each release.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) mod check;
pub(crate) mod formats;
pub(crate) mod property;
mod release_7;
pub(crate) mod returns;

/// A release of Proxmox VE that the simulator can play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Version {
    /// 7.4
    #[serde(rename = "7.4")]
    V7_4,
    /// 8.4.21
    #[default]
    #[serde(rename = "8.4")]
    V8_4,
    /// 9.2.11
    #[serde(rename = "9.2")]
    V9_2,
}

impl Version {
    /// All of them, oldest first.
    pub const ALL: [Self; 3] = [Self::V7_4, Self::V8_4, Self::V9_2];

    /// What `GET /version` says: version, release and repository id.
    pub(crate) fn numbers(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::V7_4 => ("7.4-3", "7.4", "9002ab8a"),
            Self::V8_4 => ("8.4.21", "8.4", "2606ac85"),
            Self::V9_2 => ("9.2.11", "9.2", "7a3f0c11"),
        }
    }
}

/// One parameter, or one key of a property string.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Parameter {
    #[serde(rename = "type", default)]
    pub kind: String,
    #[serde(default)]
    pub optional: u8,
    #[serde(default)]
    pub format: Option<Format>,
    #[serde(default)]
    pub minimum: Option<f64>,
    #[serde(default)]
    pub maximum: Option<f64>,
    #[serde(default, rename = "minLength")]
    pub min_length: Option<usize>,
    #[serde(default, rename = "maxLength")]
    pub max_length: Option<usize>,
    #[serde(default, rename = "enum")]
    pub values: Vec<String>,
    #[serde(default)]
    pub pattern: Option<String>,
    /// What each value of a list must be.
    #[serde(default)]
    pub items: Option<Box<Self>>,
    #[serde(default)]
    pub requires: Option<String>,
    #[serde(default)]
    pub default_key: Option<u8>,
    #[serde(default)]
    pub alias: Option<String>,
    #[serde(default, rename = "keyAlias")]
    pub key_alias: Option<String>,
    #[serde(skip)]
    pub regex: OnceLock<Option<regex::Regex>>,
}

impl Parameter {
    /// The pattern, anchored; `None` when there is none or it cannot be compiled.
    pub fn regex(&self) -> Option<&regex::Regex> {
        self.regex.get_or_init(|| self.pattern.as_deref().and_then(formats::perl)).as_ref()
    }

    /// The keys of the property string, when the value is one.
    pub fn keys(&self) -> Option<&BTreeMap<String, Parameter>> {
        match &self.format {
            Some(Format::Keys(keys)) => Some(keys),
            _ => None,
        }
    }
}

/// How the text of a parameter is checked.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Format {
    /// A format that Proxmox knows by name; see [`formats`].
    Named(String),
    /// A property string with these keys.
    Keys(BTreeMap<String, Parameter>),
}

/// Who may call a method.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Permission {
    World,
    All,
    Check(Value),
    RootOnly,
}

/// One method of the API.
#[derive(Debug)]
pub(crate) struct Method {
    pub verb: String,
    pub path: String,
    pub protected: bool,
    pub proxied: bool,
    pub allow_token: bool,
    pub permission: Permission,
    /// Whether parameters are accepted that the schema does not name.
    pub open: bool,
    parameters: HashMap<String, Arc<Parameter>>,
}

impl Method {
    /// The definition of a parameter; `scsi7` finds `scsi[n]`.
    pub fn parameter(&self, name: &str) -> Option<&Arc<Parameter>> {
        if let Some(found) = self.parameters.get(name) {
            return Some(found);
        }
        let (stem, index) = split_index(name)?;
        if index >= formats::indexed_limit(stem) {
            return None;
        }
        self.parameters.get(&format!("{stem}[n]"))
    }

    /// Every parameter.
    #[cfg(test)]
    pub fn all(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters.values().map(Arc::as_ref)
    }

    /// The parameters that must be given.
    pub fn required(&self) -> impl Iterator<Item = &str> {
        self.parameters
            .iter()
            .filter(|(_, parameter)| parameter.optional == 0)
            .map(|(name, _)| name.as_str())
    }
}

/// `scsi7` is `("scsi", 7)`; numbers with leading zeros are no index.
pub(crate) fn split_index(name: &str) -> Option<(&str, u32)> {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = &name[stem.len()..];
    if stem.is_empty() || digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    digits.parse().ok().map(|index| (stem, index))
}

#[derive(Debug, Default)]
struct Route {
    children: HashMap<String, Route>,
    any: Option<(String, Box<Route>)>,
    methods: HashMap<String, usize>,
}

/// All methods of one release.
#[derive(Debug)]
pub(crate) struct Table {
    pub methods: Vec<Method>,
    root: Route,
}

#[derive(Deserialize)]
struct Raw {
    definitions: Vec<Parameter>,
    methods: Vec<RawMethod>,
}

#[derive(Deserialize)]
struct RawMethod {
    method: String,
    path: String,
    #[serde(default)]
    protected: u8,
    #[serde(default)]
    proxyto: Option<String>,
    #[serde(default)]
    allowtoken: Option<u8>,
    #[serde(default)]
    open: u8,
    #[serde(default)]
    permissions: Option<Value>,
    parameters: HashMap<String, usize>,
}

impl Table {
    /// The table of a release; parsed once per process.
    pub fn of(version: Version) -> &'static Table {
        static V7: OnceLock<Table> = OnceLock::new();
        static V8: OnceLock<Table> = OnceLock::new();
        static V9: OnceLock<Table> = OnceLock::new();
        match version {
            Version::V7_4 => V7.get_or_init(|| {
                let mut raw = read(include_str!("8.4.json"));
                release_7::reduce(&mut raw);
                Self::build(raw)
            }),
            Version::V8_4 => V8.get_or_init(|| Self::build(read(include_str!("8.4.json")))),
            Version::V9_2 => V9.get_or_init(|| Self::build(read(include_str!("9.2.json")))),
        }
    }

    fn build(raw: Raw) -> Self {
        let definitions: Vec<Arc<Parameter>> = raw.definitions.into_iter().map(Arc::new).collect();
        let mut table = Self { methods: Vec::new(), root: Route::default() };
        table.add_root();
        for method in raw.methods {
            let parameters = method
                .parameters
                .into_iter()
                .map(|(name, index)| (name, definitions[index].clone()))
                .collect();
            let mut route = &mut table.root;
            for segment in method.path.split('/').filter(|segment| !segment.is_empty()) {
                route = match segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                    Some(name) => {
                        &mut route.any.get_or_insert_with(|| (name.to_owned(), Box::default())).1
                    }
                    None => route.children.entry(segment.to_owned()).or_default(),
                };
            }
            route.methods.insert(method.method.clone(), table.methods.len());
            table.methods.push(Method {
                permission: permission(method.permissions),
                verb: method.method,
                path: method.path,
                protected: method.protected == 1,
                proxied: method.proxyto.as_deref() == Some("node"),
                allow_token: method.allowtoken != Some(0),
                open: method.open == 1,
                parameters,
            });
        }
        table
    }

    /// The index of the whole API, which the published schema leaves out.
    fn add_root(&mut self) {
        self.root.methods.insert("GET".into(), self.methods.len());
        self.methods.push(Method {
            verb: "GET".into(),
            path: "/".into(),
            protected: false,
            proxied: false,
            allow_token: true,
            permission: Permission::All,
            open: false,
            parameters: HashMap::new(),
        });
    }

    /// The names below a path template; `None` where ids of things stand.
    pub fn children(&self, template: &str) -> Option<Vec<&str>> {
        let route = self.route(template)?;
        if route.any.is_some() {
            return None;
        }
        let mut names: Vec<&str> = route.children.keys().map(String::as_str).collect();
        names.sort_unstable();
        Some(names)
    }

    /// The method with this verb and path template.
    pub fn method(&self, verb: &str, template: &str) -> Option<&Method> {
        self.route(template)?.methods.get(verb).map(|index| &self.methods[*index])
    }

    fn route(&self, template: &str) -> Option<&Route> {
        let mut route = &self.root;
        for segment in template.split('/').filter(|segment| !segment.is_empty()) {
            route = if segment.starts_with('{') {
                &route.any.as_ref()?.1
            } else {
                route.children.get(segment)?
            };
        }
        Some(route)
    }

    /// The method for this verb and decoded path, with the parameters that the path gives.
    pub fn find(&self, verb: &str, path: &str) -> Option<(usize, Vec<(String, String)>)> {
        let mut route = &self.root;
        let mut found = Vec::new();
        let mut rest = path.trim_matches('/');
        while !rest.is_empty() {
            let (segment, tail) = rest.split_once('/').unwrap_or((rest, ""));
            if let Some(child) = route.children.get(segment) {
                route = child;
            } else if let Some((name, child)) = &route.any {
                // A volume id and a network hold slashes: they take the rest of the path.
                if matches!(name.as_str(), "volume" | "cidr") {
                    found.push((name.clone(), rest.to_owned()));
                    route = child;
                    break;
                }
                found.push((name.clone(), segment.to_owned()));
                route = child;
            } else {
                return None;
            }
            rest = tail;
        }
        route.methods.get(verb).map(|index| (*index, found))
    }
}

#[allow(clippy::expect_used, reason = "the tables are part of the program; a test reads all")]
fn read(text: &str) -> Raw {
    serde_json::from_str(text).expect("the generated table is well-formed")
}

fn permission(raw: Option<Value>) -> Permission {
    let Some(raw) = raw else { return Permission::RootOnly };
    match (raw.get("user").and_then(Value::as_str), raw.get("check")) {
        (Some("world"), _) => Permission::World,
        (Some("all"), _) => Permission::All,
        (_, Some(check)) => Permission::Check(check.clone()),
        _ => Permission::RootOnly,
    }
}
