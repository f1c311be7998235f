//! Calling any method.

use super::table::{ApiMethod, placeholder};
use crate::error::{Call, Error};
use crate::{ApiPath, Client, ParamValue, Params, Release, Reply};

/// Values for the placeholders of a path, by name.
///
/// ```
/// use pve::methods::IntoPathValues;
/// let values = [("node", "pve1"), ("vmid", "100")].into_path_values();
/// assert_eq!(values[1], ("vmid".to_owned(), "100".to_owned()));
/// ```
pub trait IntoPathValues {
    /// Names and values.
    fn into_path_values(self) -> Vec<(String, String)>;
}

impl<'a, const N: usize> IntoPathValues for [(&'a str, &'a str); N] {
    fn into_path_values(self) -> Vec<(String, String)> {
        self.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }
}

impl<V: ParamValue> IntoPathValues for &[(&str, V)] {
    fn into_path_values(self) -> Vec<(String, String)> {
        self.iter().map(|(name, value)| ((*name).to_owned(), value.to_text())).collect()
    }
}

impl IntoPathValues for Vec<(String, String)> {
    fn into_path_values(self) -> Vec<(String, String)> {
        self
    }
}

impl ApiMethod {
    /// The path with these values in place of its placeholders, encoded.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when a placeholder has no value, or a value no
    /// placeholder.
    pub fn path_with(&self, values: impl IntoPathValues) -> Result<ApiPath, Error> {
        let mut values = values.into_path_values();
        let mut path = ApiPath::default();
        for segment in self.path().split('/').filter(|segment| !segment.is_empty()) {
            let Some(name) = placeholder(segment) else {
                path = path.join(segment);
                continue;
            };
            let Some(place) = values.iter().position(|(known, _)| known == name) else {
                return Err(self.invalid(format!("the path needs a value for '{name}'")));
            };
            path = path.join(values.swap_remove(place).1);
        }
        match values.first() {
            None => Ok(path),
            Some((name, _)) => Err(self.invalid(format!("the path has no place for '{name}'"))),
        }
    }

    fn invalid(&self, reason: String) -> Error {
        let path = self.path().trim_start_matches('/').to_owned();
        Error::InvalidRequest { call: Call { method: self.verb().clone(), path }, reason }
    }
}

impl Client {
    /// Calls any method of the API. The parameters are sent as they are:
    /// [`call_checked`](Self::call_checked) looks at them first.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::InvalidRequest`] when the values do not
    /// fit the path.
    pub async fn call(
        &self,
        method: &ApiMethod,
        values: impl IntoPathValues,
        params: impl Into<Params>,
    ) -> Result<Reply, Error> {
        self.request(method.verb().clone(), method.path_with(values)?, params).await
    }

    /// Calls any method of the API when this release would accept the
    /// parameters, as far as its schema says.
    ///
    /// # Errors
    /// As [`call`](Self::call); [`Error::InvalidRequest`] names every parameter
    /// that is wrong, and what was expected.
    pub async fn call_checked(
        &self,
        release: Release,
        method: &ApiMethod,
        values: impl IntoPathValues,
        params: impl Into<Params>,
    ) -> Result<Reply, Error> {
        let params = params.into();
        let faults = method.check(release, &params);
        if !faults.is_empty() {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            // A value may be a secret under a name that nobody knows as one.
            return Err(method.invalid(params.blot(faults.join("; "))));
        }
        self.call(method, values, params).await
    }
}
