//! Readers for Proxmox's loose types: numbers as strings, booleans as `0`,
//! `1`, `"0"`, `"1"` or real ones, nulls and empty strings for "nothing".

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// A scalar as text: strings as they are, numbers as written, booleans as `1`
/// and `0`.
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(u8::from(*flag).to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// What `text` says as a boolean, in any of Proxmox's spellings.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "on" | "yes" | "true" => Some(true),
        "0" | "off" | "no" | "false" => Some(false),
        _ => None,
    }
}

struct Scalar<T> {
    expecting: &'static str,
    read: fn(&str) -> Option<T>,
}

impl<'de, T> Visitor<'de> for Scalar<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        self.visit_str(if value { "1" } else { "0" })
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        match (self.read)(text) {
            Some(value) => Ok(Some(value)),
            None if text.trim().is_empty() => Ok(None),
            None => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        }
    }
}

fn whole(text: &str) -> Option<f64> {
    let number: f64 = text.trim().parse().ok()?;
    (number.fract() == 0.0).then_some(number)
}

macro_rules! integer {
    ($opt:ident, $required:ident, $ty:ty, $what:literal) => {
        #[doc = concat!("An optional ", $what, "; null and the empty string are `None`.")]
        pub fn $opt<'de, D: Deserializer<'de>>(d: D) -> Result<Option<$ty>, D::Error> {
            d.deserialize_any(Scalar {
                expecting: $what,
                read: |text| {
                    let exact = text.trim().parse::<$ty>().ok();
                    // `1e3` and `17.0` are integers to Perl.
                    #[allow(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "checked to be whole and to survive the way back"
                    )]
                    exact.or_else(|| {
                        let number = whole(text)?;
                        #[allow(clippy::cast_precision_loss, reason = "compared with the original")]
                        (number as $ty as f64 == number).then_some(number as $ty)
                    })
                },
            })
        }

        #[doc = concat!("A required ", $what, ".")]
        pub fn $required<'de, D: Deserializer<'de>>(d: D) -> Result<$ty, D::Error> {
            $opt(d)?.ok_or_else(|| D::Error::custom(concat!("expected ", $what, ", found nothing")))
        }
    };
}
integer!(opt_u64, u64, u64, "unsigned integer");
integer!(opt_u32, u32, u32, "unsigned integer below 2^32");
integer!(opt_i64, i64, i64, "integer");

/// An optional number.
pub fn opt_f64<'de, D: Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
    d.deserialize_any(Scalar { expecting: "number", read: |text| text.trim().parse().ok() })
}

/// An optional boolean in any spelling.
pub fn opt_bool<'de, D: Deserializer<'de>>(d: D) -> Result<Option<bool>, D::Error> {
    d.deserialize_any(Scalar { expecting: "boolean (0, 1, true, false)", read: parse_bool })
}

/// A boolean; absence, null and the empty string are `false`.
pub fn bool<'de, D: Deserializer<'de>>(d: D) -> Result<bool, D::Error> {
    Ok(opt_bool(d)?.unwrap_or(false))
}

/// An optional text; numbers become text, null is `None`, the empty string
/// stays.
pub fn opt_string<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    d.deserialize_any(Scalar { expecting: "string", read: |text| Some(text.to_owned()) })
}

/// A text; null is the empty string.
pub fn string<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    Ok(opt_string(d)?.unwrap_or_default())
}

/// A list; null is empty, and a lone object is a list of one (release 8 answers
/// so for the log of a task without a file).
pub fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Vec<T>, D::Error> {
    struct List<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("list")
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = seq.next_element()? {
                items.push(item);
            }
            Ok(items)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            T::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(|item| vec![item])
        }
    }

    d.deserialize_any(List(PhantomData))
}

/// A list of texts or numbers, as texts.
pub fn strings<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    let values: Vec<Value> = list(d)?;
    Ok(values.iter().filter_map(scalar).collect())
}

/// A type with a lenient reader of its own: what [`any`] reads.
///
/// Scalars, options, lists and maps of them have one, and so has every record
/// of this crate.
pub trait Lenient: Sized {
    /// Reads it, whatever its spelling; null is the type's "nothing".
    ///
    /// # Errors
    /// When it is something else altogether.
    fn read<'de, D: Deserializer<'de>>(d: D) -> Result<Self, D::Error>;
}

/// Anything with a lenient reader, for `deserialize_with`.
pub fn any<'de, D: Deserializer<'de>, T: Lenient>(d: D) -> Result<T, D::Error> {
    T::read(d)
}

macro_rules! lenient {
    ($($ty:ty => $reader:path),* $(,)?) => {
        $(impl Lenient for $ty {
            fn read<'de, D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                $reader(d)
            }
        })*
    };
}
lenient!(
    String => string,
    Option<String> => opt_string,
    bool => bool,
    Option<bool> => opt_bool,
    Option<u64> => opt_u64,
    Option<u32> => opt_u32,
    Option<i64> => opt_i64,
    Option<f64> => opt_f64,
    Option<crate::VmId> => crate::upid::opt_vmid,
    Value => Value::deserialize,
);

impl Lenient for secrecy::SecretString {
    fn read<'de, D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        string(d).map(Self::from)
    }
}

/// A lenient type as an item of a list or map.
struct Item<T>(T);

impl<'de, T: Lenient> Deserialize<'de> for Item<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        T::read(d).map(Self)
    }
}

impl<T: Lenient> Lenient for Vec<T> {
    fn read<'de, D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(list::<D, Item<T>>(d)?.into_iter().map(|item| item.0).collect())
    }
}

impl<T: Lenient> Lenient for BTreeMap<String, T> {
    fn read<'de, D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let map = Option::<BTreeMap<String, Item<T>>>::deserialize(d)?.unwrap_or_default();
        Ok(map.into_iter().map(|(name, item)| (name, item.0)).collect())
    }
}

/// Words that come as one text (`a,b`, `a;b`, `a b`) or as a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

impl Words {
    /// Is the word there? Whole words count: `images` is not in `rootdir`.
    pub fn has(&self, word: &str) -> bool {
        self.0.iter().any(|found| found == word)
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

impl Lenient for Words {
    fn read<'de, D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let value = Option::<Value>::deserialize(d)?.unwrap_or_default();
        let items = match value {
            Value::Array(items) => items,
            other => vec![other],
        };
        let texts: Vec<String> = items.iter().filter_map(scalar).collect();
        let words = texts.iter().flat_map(|text| text.split([',', ';', ' ', '\n']));
        Ok(Self(words.filter(|word| !word.is_empty()).map(str::to_owned).collect()))
    }
}

/// A list that reads as [`list`] does, as a type.
#[derive(Debug)]
pub(crate) struct List<T>(pub Vec<T>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        list(d).map(Self)
    }
}

/// What a configuration holds: options as texts, and the digest that guards a
/// change, which stands among them. Values that are no scalars are left out.
pub fn options(map: BTreeMap<String, Value>) -> (BTreeMap<String, String>, Option<String>) {
    let texts = map.into_iter().filter_map(|(name, value)| Some((name, scalar(&value)?)));
    let mut values: BTreeMap<String, String> = texts.collect();
    let digest = values.remove("digest");
    (values, digest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Row {
        #[serde(deserialize_with = "opt_u64")]
        n: Option<u64>,
        #[serde(deserialize_with = "opt_bool")]
        b: Option<bool>,
        #[serde(deserialize_with = "opt_f64")]
        f: Option<f64>,
        #[serde(deserialize_with = "opt_string")]
        s: Option<String>,
        #[serde(deserialize_with = "list")]
        l: Vec<u8>,
    }

    fn row(json: &str) -> Row {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn loose_spellings_read_alike() {
        assert_eq!(row(r#"{"n":"384"}"#), row(r#"{"n":384}"#));
        assert_eq!(row(r#"{"n":384.0}"#), row(r#"{"n":384}"#));
        for yes in ["1", "\"1\"", "true", "\"on\""] {
            assert_eq!(row(&format!("{{\"b\":{yes}}}")).b, Some(true), "{yes}");
        }
        for nothing in ["null", "\"\""] {
            assert_eq!(row(&format!("{{\"b\":{nothing},\"n\":{nothing}}}")), Row::default());
        }
        assert_eq!(row(r#"{"f":"0.5"}"#).f, Some(0.5));
        assert_eq!(row(r#"{"s":103}"#).s.as_deref(), Some("103"));
        assert_eq!(row(r#"{"l":null}"#).l, Vec::<u8>::new());
    }

    #[test]
    fn nonsense_is_an_error() {
        for bad in
            [r#"{"n":"many"}"#, r#"{"n":-1}"#, r#"{"n":1.5}"#, r#"{"b":"maybe"}"#, r#"{"n":{}}"#]
        {
            assert!(serde_json::from_str::<Row>(bad).is_err(), "{bad}");
        }
    }
}
