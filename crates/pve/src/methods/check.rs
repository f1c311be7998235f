//! Would a release accept these parameters?

use super::table::{ApiMethod, Parameter, Signature};
use crate::models::Controller;
use crate::property::{expected, fits};
use crate::{Params, Release};

/// What is wrong with the parameters of a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The release does not have the method.
    #[error("release {release} has no {method}")]
    NoMethod {
        /// Verb and path.
        method: String,
        /// The release.
        release: Release,
    },
    /// A parameter that the method does not have.
    #[error("'{name}' is not a parameter{}", nearest.as_ref().map(|name| format!(", did you mean '{name}'?")).unwrap_or_default())]
    Unknown {
        /// Its name.
        name: String,
        /// The known parameter that is most like it.
        nearest: Option<String>,
    },
    /// A device's number is beyond what the release has.
    #[error("'{name}': the numbers end at {last}")]
    Index {
        /// Its name.
        name: String,
        /// The last number.
        last: u16,
    },
    /// A parameter that must be there is not.
    #[error("'{0}' is missing")]
    Missing(String),
    /// A value is not what the parameter wants.
    #[error("'{name}': '{value}' is not {expected}")]
    Invalid {
        /// The parameter.
        name: String,
        /// Its value, cut after 200 characters.
        value: String,
        /// What it should be.
        expected: String,
    },
    /// A parameter that may not be given without another one.
    #[error("'{name}' needs '{needed}'")]
    Requires {
        /// The parameter.
        name: String,
        /// The other one.
        needed: String,
    },
}

impl ApiMethod {
    /// Everything that is wrong with these parameters for this release; those
    /// of the path are not among them. Values of secrets are not looked at, and
    /// the server may refuse more than this knows.
    pub fn check(&self, release: Release, params: &Params) -> Vec<Fault> {
        let Some(signature) = self.signature(release) else {
            let method = format!("{} {}", self.verb(), self.path());
            return vec![Fault::NoMethod { method, release }];
        };
        let mut faults = Vec::new();
        for (name, value) in params.iter() {
            faults.extend(signature.fault(release, name, value));
        }
        let given = |name: &str| params.names().any(|given| given == name);
        let in_path = |name: &str| self.placeholders().any(|known| known == name);
        for parameter in signature.parameters() {
            let name = parameter.name();
            if parameter.is_required() && !given(name) && !in_path(name) && !name.ends_with("[n]") {
                faults.push(Fault::Missing(name.to_owned()));
            }
            let needed = parameter.requires().filter(|needed| given(name) && !given(needed));
            if let Some(needed) = needed.filter(|needed| !in_path(needed)) {
                let (name, needed) = (name.to_owned(), needed.to_owned());
                faults.push(Fault::Requires { name, needed });
            }
        }
        faults
    }
}

impl Signature {
    fn fault(&self, release: Release, name: &str, value: Option<&str>) -> Option<Fault> {
        let Some(parameter) = self.parameter(name) else {
            let names = self.parameters().iter().map(Parameter::name);
            let nearest = crate::nearest::nearest(name, names).map(str::to_owned);
            return (!self.is_open()).then(|| Fault::Unknown { name: name.to_owned(), nearest });
        };
        if let Some(word) = parameter.name().strip_suffix("[n]")
            && let Ok(controller) = word.parse::<Controller>()
        {
            let last = controller.last_index_in(release).unwrap_or_default();
            let index = name.strip_prefix(word).and_then(|digits| digits.parse::<u16>().ok());
            if index.is_none_or(|index| index > last) {
                return Some(Fault::Index { name: name.to_owned(), last });
            }
        }
        let value = value?;
        // A property string has a table of its own; an array's items are not
        // described.
        if fits(parameter.kind(), value) || parameter.type_name() == "array" {
            return None;
        }
        Some(Fault::Invalid {
            name: name.to_owned(),
            value: value.chars().take(200).collect(),
            expected: expected(parameter.kind()),
        })
    }
}
