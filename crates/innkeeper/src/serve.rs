//! The house with its doors, in one process.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use engine::{Executor, ExecutorSettings, StoreError, TokioSleep};
use model::time::SystemClock;
use model::{Caller, Clock, Door, Principal, ProjectId, Random, Role, Timestamp};
use provisioner::{
    Core, Expiry, House, HouseSettings, NewToken, Observer, ProviderWatch, SystemRandom, registry,
};
use store::Store;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ProviderConfig, VisaDoor};
use crate::data_base;
use crate::providers::provider;
use crate::reload::Reload;
use crate::state::StateFolder;

/// A house whose doors are open.
pub struct Running {
    /// Where the native door listens.
    pub native: SocketAddr,
    /// Where the metadata door listens.
    pub metadata: Option<SocketAddr>,
    /// Where the VISA door listens.
    pub visa: Option<SocketAddr>,
    /// The use cases.
    pub house: Arc<House>,
    /// What stands behind them.
    pub core: Arc<Core>,
    /// The state folder.
    pub state: StateFolder,
    /// What can be read again while it runs.
    pub reload: Arc<Reload>,
    stop: CancellationToken,
    tasks: JoinSet<Result<()>>,
}

/// How long requests and steps in hand may take once the house is to stop.
const DRAIN: Duration = Duration::from_secs(30);

/// Opens the house.
///
/// # Errors
/// When the state folder, the data base, a provider or a door cannot be opened.
pub async fn open(config: &Config) -> Result<Running> {
    let state = StateFolder::open(&config.state)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let random: Arc<dyn Random> = Arc::new(SystemRandom::new());
    let store = data_base::open(config, &state, Arc::clone(&clock), Arc::clone(&random)).await?;
    let mut connected = BTreeMap::new();
    for one in &config.providers {
        let made = provider(one, Arc::clone(&clock), store.installation_id())?;
        connected.insert(one.name().clone(), made);
    }
    let providers = connected.iter().map(|(name, made)| (name.clone(), made.provider())).collect();
    // The doors' sockets first: a port that is taken is the most likely error.
    let native = bind("native.listen", config.native.listen).await?;
    let metadata = match &config.metadata {
        Some(door) => Some(bind("metadata.listen", door.listen).await?),
        None => None,
    };
    let visa = match &config.visa {
        Some(door) => Some((bind("visa.listen", door.listen).await?, visa_settings(door)?)),
        None => None,
    };
    let socket = state.socket();
    let local = api::bind_unix(&socket)
        .await
        .with_context(|| format!("cannot listen on {}", socket.display()))?;
    let settings = HouseSettings {
        metadata_url: config.metadata.as_ref().map(|m| m.url.clone()),
        expiry_warning: config.expiry.warn_before(),
        preference: config.placement.preference(),
    };
    let core = Core::open(Arc::clone(&store), providers, clock, random, settings).await?;
    let house = House::new(Arc::clone(&core));
    first_token(&house, &store, &state, config.store.postgres.is_some()).await?;
    let stop = CancellationToken::new();
    let mut running = Running {
        native: native.local_addr()?,
        metadata: metadata.as_ref().map(TcpListener::local_addr).transpose()?,
        visa: visa.as_ref().map(|(listener, _)| listener.local_addr()).transpose()?,
        house,
        core,
        state,
        reload: Arc::new(Reload::new(connected, config.clone())),
        stop,
        tasks: JoinSet::new(),
    };
    running.spawn_work(store, longest_request(config));
    running.spawn_doors(local, native, metadata)?;
    if let Some((listener, settings)) = visa {
        let router = api::visa::router(Arc::clone(&running.house), settings);
        running.spawn_door(listener, router);
    }
    Ok(running)
}

/// The VISA door as configured, with its token.
fn visa_settings(door: &VisaDoor) -> Result<api::visa::Settings> {
    let access = match door.token().read()? {
        Some(token) => api::visa::Access::Token(token),
        None => api::visa::Access::Open,
    };
    let usual = api::visa::Settings::new(access, door.project.clone());
    let seconds = |value: Option<u64>, usual| value.map_or(usual, Duration::from_secs);
    Ok(api::visa::Settings {
        project_id: door.project_id.clone(),
        instance_limit: door.instance_limit.unwrap_or(usual.instance_limit),
        cores_per_core: door.cores_per_core.unwrap_or(usual.cores_per_core),
        shutdown_timeout: seconds(door.shutdown_timeout_s, usual.shutdown_timeout),
        delete_grace: seconds(door.delete_grace_s, usual.delete_grace),
        ..usual
    })
}

/// The longest that one request to a provider may take: a lease must outlast it.
fn longest_request(config: &Config) -> Duration {
    let seconds = config
        .providers
        .iter()
        .map(|ProviderConfig::Proxmox(proxmox)| proxmox.settings.timeouts.request_s);
    Duration::from_secs(seconds.max().unwrap_or_default())
}

async fn bind(what: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{what}: cannot listen on {address}"))
}

/// The first start makes an admin token and writes it to the state folder. When
/// it dies in between, the next one revokes the token that nobody has read and
/// makes another. Where others use the data base the one that nobody has read
/// stays: which it is cannot be known.
async fn first_token(
    house: &House,
    store: &Store,
    state: &StateFolder,
    shared: bool,
) -> Result<()> {
    let known = store.tokens().await?;
    let (begun, file) = (state.first_start(), state.admin_token());
    if !known.is_empty() && (!begun.exists() || file.exists()) {
        return remove(&begun);
    }
    // One of an earlier data base.
    remove(&file)?;
    std::fs::write(&begun, "").with_context(|| format!("cannot write {}", begun.display()))?;
    let project: ProjectId = "default".parse()?;
    let principal = Principal { id: "first-start".to_owned(), name: "first start".to_owned() };
    let caller = Caller::new(principal, project.clone(), Door::House, Role::Admin);
    for token in known.iter().filter(|token| !shared && token.revoked_at.is_none()) {
        house.revoke_token(&caller, token.id).await?;
    }
    let request =
        NewToken { name: "admin".to_owned(), project, role: Role::Admin, expires_at: None };
    let (_, token) = house.create_token(&caller, request).await?;
    StateFolder::write_secret(&file, &token)?;
    remove(&begun)
}

/// Removes a file, if it is there.
fn remove(file: &Path) -> Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

impl Running {
    fn spawn_work(&mut self, store: Arc<Store>, longest_request: Duration) {
        let (core, stop) = (Arc::clone(&self.core), self.stop.clone());
        self.tasks.spawn(async move {
            core.read_model.follow(&core.store, stop).await;
            Ok(())
        });
        for name in self.core.providers().keys().cloned() {
            let (core, stop) = (Arc::clone(&self.core), self.stop.clone());
            self.tasks.spawn(async move {
                Observer::new(core, name).run(Arc::new(TokioSleep), stop).await;
                Ok(())
            });
        }
        let (expiry, stop) = (Expiry::new(Arc::clone(&self.house)), self.stop.clone());
        self.tasks.spawn(async move {
            expiry.run(Arc::new(TokioSleep), stop).await;
            Ok(())
        });
        let (core, stop) = (Arc::clone(&self.core), self.stop.clone());
        self.tasks.spawn(async move {
            compact(&core, &stop).await;
            Ok(())
        });
        let teller =
            api::webhooks::Teller::new(Arc::clone(&self.house), Arc::clone(&self.core.clock));
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            teller.run(stop).await;
            Ok(())
        });
        let (core, stop) = (Arc::clone(&self.core), self.stop.clone());
        let usual = ExecutorSettings::default();
        let lease = usual.lease.max(longest_request * 2 + usual.renew_every);
        let settings = ExecutorSettings { lease, ..usual };
        self.tasks.spawn(async move { execute(core, store, settings, stop).await });
    }

    fn spawn_doors(
        &mut self,
        local: UnixListener,
        native: TcpListener,
        metadata: Option<TcpListener>,
    ) -> Result<()> {
        let house = || Arc::clone(&self.house);
        let clock = Arc::clone(&self.core.clock);
        let router = api::native::router(house(), clock, api::native::Limits::default())?;
        let metadata = metadata.map(|listener| {
            (listener, api::metadata::router(house(), api::metadata::Limits::default()))
        });
        self.spawn_door(local, router.clone());
        self.spawn_door(native, router);
        if let Some((listener, router)) = metadata {
            self.spawn_door(listener, router);
        }
        Ok(())
    }

    fn spawn_door<L: axum::serve::Listener>(&mut self, listener: L, router: axum::Router) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            api::serve(listener, router, api::ConnectionLimits::default(), stop).await;
            Ok(())
        });
    }

    /// Runs until one part fails or `until` completes, then stops in order.
    ///
    /// # Errors
    /// What a part failed with.
    pub async fn run(mut self, until: impl Future<Output = ()>) -> Result<()> {
        let outcome = tokio::select! {
            () = until => Ok(()),
            Some(ended) = self.tasks.join_next() => {
                let ended = ended.context("a part of the house panicked").and_then(|ended| ended);
                ended.and_then(|()| bail!("a part of the house ended by itself"))
            }
        };
        outcome.and(self.stop().await)
    }

    /// Stops in order: doors answer what they have begun, steps come to their
    /// next rest, the data base is closed.
    ///
    /// # Errors
    /// What a part failed with.
    pub async fn stop(mut self) -> Result<()> {
        self.house.close();
        self.stop.cancel();
        let mut outcome = Ok(());
        let drained = async {
            while let Some(ended) = self.tasks.join_next().await {
                let ended = ended.context("a part of the house panicked").and_then(|ended| ended);
                if let (Err(error), true) = (ended, outcome.is_ok()) {
                    outcome = Err(error);
                }
            }
        };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!("not everything came to rest in time; it goes on at the next start");
        }
        let _ = std::fs::remove_file(self.state.socket());
        self.core.store.close().await;
        outcome
    }
}

/// How long operations that have ended are kept.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Forgets, once an hour, what has ended long ago.
async fn compact(core: &Core, stop: &CancellationToken) {
    loop {
        let now = core.clock.now().as_millis();
        let kept = i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
        let before = Timestamp::from_millis(now.saturating_sub(kept));
        if let Err(error) = core.store.compact(before).await {
            tracing::warn!(%error, "cannot forget old operations; trying again in an hour");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(3600)) => {}
        }
    }
}

/// Executes workflows; a lost lease begins a new epoch.
async fn execute(
    core: Arc<Core>,
    store: Arc<Store>,
    settings: ExecutorSettings,
    stop: CancellationToken,
) -> Result<()> {
    let registry = Arc::new(registry(&core)?);
    while !stop.is_cancelled() {
        let begun = Executor::begin(
            Arc::clone(&store),
            Arc::clone(&registry),
            Arc::new(ProviderWatch(Arc::clone(&core))),
            Arc::clone(&core.clock),
            Arc::new(TokioSleep),
            settings,
        )
        .await;
        let ran = match begun {
            Ok(executor) => executor.run(stop.clone()).await,
            Err(error) => Err(error),
        };
        match ran {
            Ok(()) => return Ok(()),
            Err(StoreError::Fenced) => tracing::warn!("the lease was lost; beginning a new epoch"),
            Err(error) => tracing::error!(%error, "the executor stopped; beginning again"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

/// Completes when the process is asked to end.
pub async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
