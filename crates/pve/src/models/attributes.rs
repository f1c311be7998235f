//! Everything that was read of a thing, as it came.

use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::lenient;

/// The members of an answer, known to this library or not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attributes(Map<String, Value>);

impl Attributes {
    /// A member as it came.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A member as text: numbers as written, booleans as `1` and `0`; `None`
    /// for lists and objects.
    pub fn text(&self, name: &str) -> Option<String> {
        lenient::scalar(self.0.get(name)?)
    }

    /// All members, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

/// An answer read twice: typed, and as it came.
#[derive(Clone, Debug)]
pub(crate) struct Read<T> {
    pub typed: T,
    pub attributes: Attributes,
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Read<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let map = Map::deserialize(d)?;
        let typed = T::deserialize(Value::Object(map.clone())).map_err(D::Error::custom)?;
        Ok(Self { typed, attributes: Attributes(map) })
    }
}
