//! Metrics in Prometheus' text format (version 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use http::header;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Native;
use super::error::Failure;
use super::extract::Authenticated;

/// Upper bounds of the request durations' buckets, in milliseconds.
const BUCKETS_MS: [u64; 8] = [1, 5, 10, 50, 100, 500, 1000, 5000];

/// Requests of one route that ended with one status.
#[derive(Clone, Copy, Debug, Default)]
struct Answered {
    count: u64,
    sum_ms: u64,
    /// How many took at most as long as each bound; not cumulative.
    buckets: [u64; BUCKETS_MS.len()],
}

/// What the door counts. Routes are the templates of the description, so that
/// there are only so many.
#[derive(Debug, Default)]
pub(super) struct Requests(Mutex<BTreeMap<(String, String, u16), Answered>>);

impl Requests {
    pub(super) fn count(&self, method: &http::Method, route: &str, status: u16, took: Duration) {
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        // Other words than those of RFC 9110 are one.
        let method = match method.as_str() {
            known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known,
            _ => "other",
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (method.to_owned(), route.to_owned(), status);
        let answered = all.entry(key).or_default();
        answered.count += 1;
        answered.sum_ms = answered.sum_ms.saturating_add(took);
        if let Some(bucket) = BUCKETS_MS.iter().position(|bound| took <= *bound) {
            answered.buckets[bucket] += 1;
        }
    }

    fn write(&self, text: &mut String) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        heading(text, "innkeeper_requests_total", "counter", "Requests that were answered.");
        for ((method, route, status), answered) in &all {
            let labels = format!("method=\"{method}\",route=\"{route}\",status=\"{status}\"");
            line(text, "innkeeper_requests_total", &labels, answered.count as f64);
        }
        let name = "innkeeper_request_duration_seconds";
        heading(text, name, "histogram", "How long they took.");
        let mut routes: BTreeMap<(&str, &str), Answered> = BTreeMap::new();
        for ((method, route, _), answered) in &all {
            let sum = routes.entry((method, route)).or_default();
            sum.count += answered.count;
            sum.sum_ms = sum.sum_ms.saturating_add(answered.sum_ms);
            for (sum, count) in sum.buckets.iter_mut().zip(answered.buckets) {
                *sum += count;
            }
        }
        for ((method, route), answered) in routes {
            let labels = format!("method=\"{method}\",route=\"{route}\"");
            let mut below = 0;
            for (bound, count) in BUCKETS_MS.iter().zip(answered.buckets) {
                below += count;
                let bound = *bound as f64 / 1000.0;
                let labels = format!("{labels},le=\"{bound}\"");
                line(text, &format!("{name}_bucket"), &labels, below as f64);
            }
            let all = format!("{labels},le=\"+Inf\"");
            line(text, &format!("{name}_bucket"), &all, answered.count as f64);
            line(text, &format!("{name}_sum"), &labels, answered.sum_ms as f64 / 1000.0);
            line(text, &format!("{name}_count"), &labels, answered.count as f64);
        }
    }
}

fn heading(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(text: &mut String, name: &str, labels: &str, value: f64) {
    let _ = match labels {
        "" => writeln!(text, "{name} {value}"),
        labels => writeln!(text, "{name}{{{labels}}} {value}"),
    };
}

/// A label's value, as the format wants it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// Get metrics in Prometheus' text format
///
/// Numbers of the whole house and no names of what is in it. Any valid token will
/// do.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    responses((status = 200, description = "The metrics", body = String, content_type = "text/plain"))
)]
async fn metrics(
    State(native): State<Native>,
    Authenticated(_caller): Authenticated,
) -> Result<impl IntoResponse + use<>, Failure> {
    let figures = native.house.figures().await?;
    let mut text = String::with_capacity(8 << 10);
    heading(&mut text, "innkeeper_build_info", "gauge", "The version that runs.");
    let version = format!("version=\"{}\"", escaped(env!("CARGO_PKG_VERSION")));
    line(&mut text, "innkeeper_build_info", &version, 1.0);
    native.requests.write(&mut text);
    heading(&mut text, "innkeeper_operations", "gauge", "Operations that are kept, by state.");
    for (state, count) in figures.operations {
        let labels = format!("state=\"{}\"", escaped(&state));
        line(&mut text, "innkeeper_operations", &labels, count as f64);
    }
    heading(&mut text, "innkeeper_instances", "gauge", "Instances, by state.");
    for (state, count) in figures.instances {
        line(&mut text, "innkeeper_instances", &format!("state=\"{state}\""), count as f64);
    }
    let name = "innkeeper_provider_calls_total";
    heading(&mut text, name, "counter", "Actions that were sent, probed or undone, by outcome.");
    for ((provider, verb, outcome), count) in figures.calls {
        let provider = escaped(&provider);
        let labels = format!("provider=\"{provider}\",verb=\"{verb}\",outcome=\"{outcome}\"");
        line(&mut text, name, &labels, count as f64);
    }
    let name = "innkeeper_provider_look_age_seconds";
    heading(&mut text, name, "gauge", "How long ago everything of a provider was seen.");
    for (provider, age) in figures.looks {
        let age = age.map_or(f64::INFINITY, |age| age.as_secs_f64());
        let value = if age.is_finite() { age } else { f64::NAN };
        line(&mut text, name, &format!("provider=\"{}\"", escaped(&provider)), value);
    }
    let name = "innkeeper_read_model_behind";
    heading(&mut text, name, "gauge", "Changes that reads do not show yet.");
    line(&mut text, name, "", figures.behind as f64);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_labels_escaped() {
        let requests = Requests::default();
        for took in [1, 7, 9000] {
            let took = Duration::from_millis(took);
            requests.count(&http::Method::GET, "/v1/images", 200, took);
        }
        let mut text = String::new();
        requests.write(&mut text);
        let of = |bound: &str| {
            let start = format!(
                "innkeeper_request_duration_seconds_bucket{{method=\"GET\",route=\"/v1/images\",le=\"{bound}\"}} "
            );
            text.lines().find_map(|line| line.strip_prefix(&start).map(str::to_owned))
        };
        assert_eq!(of("0.001").as_deref(), Some("1"));
        assert_eq!(of("0.01").as_deref(), Some("2"));
        assert_eq!(of("5").as_deref(), Some("2"));
        assert_eq!(of("+Inf").as_deref(), Some("3"));
        assert_eq!(escaped("a\"b\\\n"), "a\\\"b\\\\\\n");
    }
}
