//! The VISA door: what a VISA server expects of its cloud web provider, under
//! `/api`. A number, never given twice, is what it calls an instance.

mod catalogue;
mod create;
mod devices;
mod error;
pub mod flavour_id;
mod hypervisors;
mod instances;
mod seed;
mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use http::{HeaderMap, StatusCode};
use model::{Caller, Door, Error, Principal, ProjectId, Role};
use provisioner::{HostInfo, House, InstanceFilter};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use error::Failure;

/// Who is let in.
#[derive(Clone, Debug)]
pub enum Access {
    /// Whoever sends this token in the header `x-auth-token`.
    Token(SecretString),
    /// Everybody. Only where the network lets nobody else through.
    Open,
}

/// How the door is set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who is let in.
    pub access: Access,
    /// The project of its instances: it sees no other.
    pub project: ProjectId,
    /// `project_id` in the guests' meta-data.
    pub project_id: Option<String>,
    /// How many instances there can be, as VISA is told. More than there will
    /// ever be: at the limit VISA refuses every reservation.
    pub instance_limit: u64,
    /// How many virtual cores VISA is told that a core gives.
    pub cores_per_core: f64,
    /// How long a guest may take to shut down (or to restart) before it is
    /// powered off, 1 s to 1 h.
    pub shutdown_timeout: Duration,
    /// The same for one that is deleted while it runs.
    pub delete_grace: Duration,
    /// How long a request waits for the change before it. VISA gives up after
    /// 30 s.
    pub patience: Duration,
}

impl Settings {
    /// Everything by default.
    pub fn new(access: Access, project: ProjectId) -> Self {
        Self {
            access,
            project,
            project_id: None,
            instance_limit: 1_000_000,
            cores_per_core: 1.0,
            shutdown_timeout: Duration::from_secs(300),
            delete_grace: Duration::from_secs(60),
            patience: Duration::from_secs(20),
        }
    }
}

/// The label of an instance that was taken over with what its image was called.
pub const IMAGE_LABEL: &str = "visa-image";
/// The label of one that was taken over with what its flavour was called.
pub const FLAVOUR_LABEL: &str = "visa-flavour";

/// Requests at the same time; more wait. None is refused for there being many:
/// VISA takes an instance that it gets no answer about for deleted.
const REQUESTS: usize = 256;
/// Bytes of a body.
const BODY: usize = 256 << 10;
/// How long a request may take, from its first byte; VISA's client waits 30 s.
const REQUEST: Duration = Duration::from_secs(28);

/// What handlers share.
#[derive(Clone)]
struct Visa {
    house: Arc<House>,
    caller: Caller,
    settings: Arc<Settings>,
    slots: Arc<Semaphore>,
}

impl Visa {
    /// The instances of this door.
    fn ours(&self) -> InstanceFilter {
        InstanceFilter {
            managed_by: Some(Door::Visa),
            project: Some(self.settings.project.clone()),
            limit: usize::MAX,
            ..InstanceFilter::default()
        }
    }
}

/// The cores of a host that VISA reckons with.
fn cores_to_give(visa: &Visa, host: &HostInfo) -> u64 {
    let cores = f64::from(host.cores) * visa.settings.cores_per_core;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and a cast saturates"
    )]
    let cores = cores.max(0.0).floor() as u64;
    cores
}

/// The door's routes.
pub fn router(house: Arc<House>, settings: Settings) -> Router {
    let principal = Principal { id: "visa".to_owned(), name: "visa".to_owned() };
    let caller = Caller::new(principal, settings.project.clone(), Door::Visa, Role::Member);
    let slots = Arc::new(Semaphore::new(REQUESTS));
    let visa = Visa { house, caller, settings: Arc::new(settings), slots };
    Router::new()
        .route("/api/instances", get(instances::list).post(create::create))
        .route("/api/instances/identifiers", get(instances::identifiers))
        .route("/api/instances/{id}", get(instances::get).delete(instances::delete))
        .route("/api/instances/{id}/ip", get(instances::ip))
        .route("/api/instances/{id}/start", post(instances::start))
        .route("/api/instances/{id}/shutdown", post(instances::shutdown))
        .route("/api/instances/{id}/reboot", post(instances::reboot))
        .route("/api/instances/{id}/migrate", post(instances::migrate))
        .route(
            "/api/instances/{id}/security_groups",
            get(instances::groups).post(instances::add_group),
        )
        .route("/api/instances/{id}/security_groups/remove", post(instances::remove_group))
        .route("/api/images", get(catalogue::images))
        .route("/api/images/{id}", get(catalogue::image))
        .route("/api/flavours", get(catalogue::flavours))
        .route("/api/flavours/{id}", get(catalogue::flavour))
        .route("/api/security_groups", get(catalogue::security_groups))
        .route("/api/metrics", get(catalogue::metrics))
        .route("/api/flavours/{id}/device_allocations", get(devices::of_flavour))
        .route("/api/devices", get(devices::list))
        .route("/api/device/{type}/{identifier}", get(devices::get))
        .route("/api/device_allocations", get(devices::allocations))
        .route("/api/custom_resource_classes", get(devices::classes))
        .route("/api/hypervisor_inventories", get(hypervisors::inventories))
        .route("/api/hypervisor_usages", get(hypervisors::usages))
        .route("/api/hypervisor_allocations", get(hypervisors::allocations))
        .fallback(|| async { Failure::NotFound })
        .method_not_allowed_fallback(|| async { Failure::MethodNotAllowed })
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::map_response(too_large))
        .layer(middleware::from_fn_with_state(visa.clone(), around))
        .with_state(visa)
}

/// The framework's own refusal of a large body, in our words.
async fn too_large(response: Response) -> Response {
    match response.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Failure::TooLarge(BODY).into_response(),
        _ => response,
    }
}

/// Lets a request in, before anything of its body is read, and watches over it.
async fn around(State(visa): State<Visa>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let begun = Instant::now();
    let response = if allowed(&visa.settings.access, request.headers()) {
        let run = async {
            // Never closed.
            let _slot = visa.slots.acquire().await;
            next.run(request).await
        };
        tokio::time::timeout(REQUEST, run).await.unwrap_or_else(|_| {
            let message = "no answer in time; it may have been carried out".to_owned();
            Failure::House(Error::Unavailable { message, context: None }).into_response()
        })
    } else {
        Failure::Unauthorized.into_response()
    };
    let (status, took_ms) = (response.status().as_u16(), begun.elapsed().as_millis());
    tracing::debug!(%method, path, status, %took_ms, "answered");
    response
}

fn allowed(access: &Access, headers: &HeaderMap) -> bool {
    let Access::Token(token) = access else { return true };
    let mut given = headers.get_all("x-auth-token").iter();
    let (Some(given), None) = (given.next(), given.next()) else { return false };
    verify_slices_are_equal(given.as_bytes(), token.expose_secret().as_bytes()).is_ok()
}
