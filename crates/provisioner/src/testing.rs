//! A whole house over the in-memory provider, for tests of doors.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Executor, ExecutorSettings, TokioSleep};
use model::time::SystemClock;
use model::{Caller, Clock, Door, Principal, ProviderId, Random, Role};
use provider::Provider;
use provider::memory::{MemoryCloud, MemoryProvider};
use store::{Settings, Store, Synchronous};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Core, House, HouseSettings, Observer, ProviderWatch, SystemRandom, registry};

/// A running house over a sample cloud.
///
/// # Panics
/// When it cannot be opened: a test cannot go on without it.
#[allow(clippy::expect_used, reason = "a test cannot go on without it")]
pub async fn house() -> TestHouse {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let random: Arc<dyn Random> = Arc::new(SystemRandom::new());
    let path = folder.path().join("innkeeper.db");
    let settings = Settings { synchronous: Synchronous::Off, ..Settings::default() };
    let store = Store::open_sqlite(&path, settings, Arc::clone(&clock), Arc::clone(&random))
        .await
        .expect("a store");
    let cloud = MemoryCloud::sample("lab", Arc::clone(&clock));
    let provider: Arc<dyn Provider> = Arc::new(MemoryProvider::new(Arc::clone(&cloud), "test"));
    let name: ProviderId = "lab".parse().expect("lab is a name");
    let providers = BTreeMap::from([(name.clone(), provider)]);
    let metadata_url = Some("http://192.0.2.1:8008/".to_owned());
    let settings = HouseSettings { metadata_url, ..HouseSettings::default() };
    let core = Core::open(Arc::clone(&store), providers, Arc::clone(&clock), random, settings)
        .await
        .expect("a core");
    let stop = CancellationToken::new();
    let observer = Observer::new(Arc::clone(&core), name);
    observer.look().await;
    let executor = Executor::begin(
        store,
        Arc::new(registry(&core).expect("every kind once")),
        Arc::new(ProviderWatch(Arc::clone(&core))),
        clock,
        Arc::new(TokioSleep),
        ExecutorSettings::default(),
    )
    .await
    .expect("an executor");
    let (executing, looking, following) = (stop.clone(), stop.clone(), stop.clone());
    let followed = Arc::clone(&core);
    let tasks = vec![
        tokio::spawn(async move { executor.run(executing).await.expect("an epoch of its own") }),
        tokio::spawn(async move { observer.run(Arc::new(TokioSleep), looking).await }),
        tokio::spawn(async move { followed.read_model.follow(&followed.store, following).await }),
    ];
    TestHouse { house: House::new(Arc::clone(&core)), core, cloud, stop, tasks, _folder: folder }
}

/// A running house with everything in a folder that goes with it.
pub struct TestHouse {
    /// The use cases.
    pub house: Arc<House>,
    /// What stands behind them.
    pub core: Arc<Core>,
    /// The world of the in-memory provider.
    pub cloud: Arc<MemoryCloud>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl TestHouse {
    /// An administrator who calls through the native door.
    pub fn admin(&self) -> Caller {
        self.caller("admin", "default", Role::Admin)
    }

    /// A caller through the native door.
    ///
    /// # Panics
    /// When `project` is no name.
    #[allow(clippy::expect_used, reason = "a test's constant")]
    pub fn caller(&self, name: &str, project: &str, role: Role) -> Caller {
        let principal = Principal { id: name.to_owned(), name: name.to_owned() };
        let project = project.parse().expect("a project's name");
        Caller::new(principal, project, Door::Native, role)
    }

    /// Looks at the cloud once more, now.
    ///
    /// # Panics
    /// Never: its provider has this name.
    #[allow(clippy::expect_used, reason = "a test's constant")]
    pub async fn look(&self) {
        Observer::new(Arc::clone(&self.core), "lab".parse().expect("a name")).look().await;
    }

    /// Stops everything in order.
    pub async fn stop(mut self) {
        self.stop.cancel();
        for task in self.tasks.drain(..) {
            let _ = task.await;
        }
    }
}

impl Drop for TestHouse {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
