//! Queries of routes that take none, or not that parameter: a misspelt one must
//! not be taken for what it meant, as `?dryrun=true`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use model::Error;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{OpenApi, RefOr};

use super::error::Failure;

/// The names of the query's parameters that each route takes.
pub(super) type Known = Arc<BTreeMap<(Method, String), BTreeSet<String>>>;

/// What the description says of queries.
pub(super) fn known(description: &OpenApi) -> Known {
    let mut known = BTreeMap::new();
    for (path, item) in &description.paths.paths {
        let operations = [
            (Method::GET, &item.get),
            (Method::POST, &item.post),
            (Method::PUT, &item.put),
            (Method::PATCH, &item.patch),
            (Method::DELETE, &item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                known.insert((method, path.clone()), parameters(operation));
            }
        }
    }
    Arc::new(known)
}

fn parameters(operation: &Operation) -> BTreeSet<String> {
    let parameters = operation.parameters.iter().flatten();
    parameters
        .filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some(parameter),
            RefOr::Ref(_) => None,
        })
        .filter(|parameter| parameter.parameter_in == ParameterIn::Query)
        .map(|parameter| parameter.name.clone())
        .collect()
}

/// Refuses a parameter that the route does not take.
pub(super) async fn check(
    State(known): State<Known>,
    path: MatchedPath,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let query = request.uri().query().unwrap_or_default();
    if !query.is_empty() {
        let route = (request.method().clone(), path.as_str().to_owned());
        let takes = known.get(&route);
        let given = query.split('&').filter(|pair| !pair.is_empty());
        for name in given.map(|pair| pair.split('=').next().unwrap_or_default()) {
            if !takes.is_some_and(|names| names.contains(name)) {
                return Err(unknown(name, takes).into());
            }
        }
    }
    Ok(next.run(request).await)
}

fn unknown(name: &str, takes: Option<&BTreeSet<String>>) -> Error {
    let name: String = name.chars().take(80).collect();
    let names: Vec<&str> = takes.into_iter().flatten().map(String::as_str).collect();
    let message = match names.as_slice() {
        [] => "unknown parameter; this route takes none".to_owned(),
        names => format!("unknown parameter; expected one of {}", names.join(", ")),
    };
    Error::invalid(name, message)
}
