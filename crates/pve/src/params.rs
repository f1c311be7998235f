//! Parameters of a call: ordered, encoded as Proxmox decodes them, with secret
//! values that never print.

use std::fmt;

use percent_encoding::utf8_percent_encode;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::path::ENCODED;

/// Parameters of one call, in the order given. A repeated name makes an array
/// (`command=echo&command=hi`), as Proxmox reads it.
///
/// ```
/// use pve::Params;
/// let params = Params::new().set("newid", 101).set("full", true).opt("name", None::<&str>);
/// assert_eq!(params.encode(), "newid=101&full=1");
/// ```
#[derive(Clone, Default)]
pub struct Params(Vec<(String, Text)>);

#[derive(Clone)]
enum Text {
    Plain(String),
    Secret(SecretString),
}

impl Text {
    fn expose(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(text) => text.expose_secret(),
        }
    }
}

/// A value that can be a parameter. Booleans are `1` and `0`: Proxmox refuses
/// `true` in forms.
pub trait ParamValue {
    /// The text that is sent, before encoding.
    fn to_text(&self) -> String;
}

impl ParamValue for bool {
    fn to_text(&self) -> String {
        u8::from(*self).to_string()
    }
}

impl<T: ParamValue + ?Sized> ParamValue for &T {
    fn to_text(&self) -> String {
        (**self).to_text()
    }
}

macro_rules! displayed {
    ($($ty:ty),* $(,)?) => {
        $(impl ParamValue for $ty {
            fn to_text(&self) -> String {
                self.to_string()
            }
        })*
    };
}
displayed!(str, String, u8, u16, u32, u64, usize, i32, i64, f64);
displayed!(
    crate::Upid,
    crate::VmId,
    crate::property::PropertyString,
    crate::property::DiskSize,
    crate::property::VolumeId,
    crate::property::Tags,
);

/// Names whose values never print, even when they were set as plain text.
const SECRET_NAMES: &[&str] = &[
    "password",
    "cipassword",
    "confirmation-password",
    "otp",
    "tfa-challenge",
    "secret",
    "client-key",
    "ticket",
    "vncticket",
    "encryption-key",
    "keyring",
    "master-pubkey",
    "input-data",
];

impl Params {
    /// No parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more parameter.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl ParamValue) -> Self {
        self.push(name, value);
        self
    }

    /// With one more parameter, unless `value` is `None`.
    #[must_use]
    pub fn opt(self, name: &str, value: Option<impl ParamValue>) -> Self {
        match value {
            Some(value) => self.set(name, value),
            None => self,
        }
    }

    /// With one more parameter whose value never prints and is blotted out of
    /// error texts.
    #[must_use]
    pub fn secret(mut self, name: impl Into<String>, value: SecretString) -> Self {
        self.0.push((name.into(), Text::Secret(value)));
        self
    }

    /// With all of `more` behind what is here.
    #[must_use]
    pub fn and(mut self, more: impl Into<Params>) -> Self {
        self.0.extend(more.into().0);
        self
    }

    /// Adds one parameter.
    pub fn push(&mut self, name: impl Into<String>, value: impl ParamValue) {
        let name = name.into();
        let text = value.to_text();
        let text = if SECRET_NAMES.contains(&name.as_str()) {
            Text::Secret(text.into())
        } else {
            Text::Plain(text)
        };
        self.0.push((name, text));
    }

    /// Sets a parameter, in place of all earlier values of its name.
    pub fn put(&mut self, name: impl Into<String>, value: impl ParamValue) {
        let name = name.into();
        self.remove(&name);
        self.push(name, value);
    }

    /// Sets a secret parameter, in place of all earlier values of its name.
    pub(crate) fn put_secret(&mut self, name: &str, value: SecretString) {
        self.remove(name);
        self.0.push((name.to_owned(), Text::Secret(value)));
    }

    /// Takes all values of `name` out.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(given, _)| given != name);
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Names and values, in order; a secret's value is `None`.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(name, value)| match value {
            Text::Plain(text) => (name.as_str(), Some(text.as_str())),
            Text::Secret(_) => (name.as_str(), None),
        })
    }

    /// The first value of `name`; `None` when it is absent or secret.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|(key, value)| match value {
            Text::Plain(text) if key == name => Some(text.as_str()),
            _ => None,
        })
    }

    /// As a form or query string. **Holds the secrets.**
    pub fn encode(&self) -> String {
        let mut out = String::new();
        for (name, value) in &self.0 {
            if !out.is_empty() {
                out.push('&');
            }
            out.extend(utf8_percent_encode(name, ENCODED));
            out.push('=');
            out.extend(utf8_percent_encode(value.expose(), ENCODED));
        }
        out
    }

    /// `text` with every secret value blotted out: Proxmox quotes values in
    /// its error texts. Values under four characters are left, they would blot
    /// out half of the text.
    pub(crate) fn blot(&self, text: String) -> String {
        let secrets = self.0.iter().filter_map(|(_, value)| match value {
            Text::Secret(secret) if secret.expose_secret().len() >= 4 => Some(secret),
            _ => None,
        });
        secrets.fold(text, |text, secret| text.replace(secret.expose_secret(), "[secret]"))
    }

    /// The members of a serialisable struct as parameters: `None` is left out,
    /// booleans become 1 and 0, lists are repeated.
    ///
    /// # Errors
    /// When `value` does not serialise to an object of scalars and lists of
    /// scalars.
    pub fn from_serialize(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        use serde::ser::Error as _;
        let serde_json::Value::Object(members) = serde_json::to_value(value)? else {
            return Err(serde_json::Error::custom("parameters must be an object"));
        };
        let mut params = Self::new();
        for (name, value) in members {
            match value {
                serde_json::Value::Array(values) => {
                    for value in values {
                        params.push_json(&name, value)?;
                    }
                }
                value => params.push_json(&name, value)?,
            }
        }
        Ok(params)
    }

    fn push_json(&mut self, name: &str, value: serde_json::Value) -> Result<(), serde_json::Error> {
        use serde::ser::Error as _;
        match value {
            serde_json::Value::Null => {}
            serde_json::Value::Bool(flag) => self.push(name, flag),
            serde_json::Value::Number(number) => self.push(name, number.to_string()),
            serde_json::Value::String(text) => self.push(name, text),
            _ => {
                return Err(serde_json::Error::custom(format!(
                    "parameter {name} must be a scalar or a list of scalars"
                )));
            }
        }
        Ok(())
    }
}

impl From<()> for Params {
    fn from((): ()) -> Self {
        Self::new()
    }
}

impl From<&Params> for Params {
    fn from(params: &Params) -> Self {
        params.clone()
    }
}

impl<N: Into<String>, V: ParamValue, const COUNT: usize> From<[(N, V); COUNT]> for Params {
    fn from(parameters: [(N, V); COUNT]) -> Self {
        parameters.into_iter().collect()
    }
}

impl<N: Into<String>, V: ParamValue> FromIterator<(N, V)> for Params {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(items: I) -> Self {
        let mut params = Self::new();
        for (name, value) in items {
            params.push(name, value);
        }
        params
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.iter().map(|(name, value)| match value {
                Text::Plain(text) => (name, text.as_str()),
                Text::Secret(_) => (name, "[secret]"),
            }))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn separators_inside_values_are_encoded() {
        let params = Params::new().set("boot", "order=scsi0;net0").set("x", "a+b c&ü");
        assert_eq!(params.encode(), "boot=order%3Dscsi0%3Bnet0&x=a%2Bb%20c%26%C3%BC");
    }

    #[test]
    fn secrets_do_not_print_and_are_blotted_out() {
        let params = Params::new()
            .set("cipassword", "hunter2222")
            .secret("whatever", SecretString::from("opensesame"))
            .set("cores", 2);
        let debug = format!("{params:?}");
        assert!(!debug.contains("hunter") && !debug.contains("sesame"), "{debug}");
        assert!(debug.contains("cores"));
        assert!(params.encode().contains("cipassword=hunter2222"));
        assert_eq!(params.get("cipassword"), None);
        assert_eq!(params.get("cores"), Some("2"));
        assert_eq!(
            params.blot("got 'hunter2222' and opensesame".into()),
            "got '[secret]' and [secret]"
        );
    }

    #[test]
    fn structs_become_parameters() {
        #[derive(Serialize)]
        struct Request {
            a: Option<bool>,
            b: Option<u8>,
            c: Vec<&'static str>,
        }
        let params = Params::from_serialize(&Request { a: Some(true), b: None, c: vec!["x", "y"] });
        assert_eq!(params.unwrap().encode(), "a=1&c=x&c=y");
        assert!(Params::from_serialize(&7).is_err());
        assert!(Params::from_serialize(&[("a", [[1]])]).is_err());
    }
}
