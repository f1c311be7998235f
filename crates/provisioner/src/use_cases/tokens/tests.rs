//! How long a replica goes on with a token that another one has ended.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::random::SeededRandom;
use model::time::ManualClock;
use model::{Caller, Clock, Door, Error, Principal, Random, Role, TokenId};
use secrecy::SecretString;
use store::{Settings, Store, Synchronous};
use tempfile::TempDir;

use super::{FRESH, NewToken, TRUST};
use crate::house::{Core, House, HouseSettings};

/// Two replicas over one data base, and an administrator's token.
struct Replicas {
    clock: ManualClock,
    store: Arc<Store>,
    houses: [Arc<House>; 2],
    token: SecretString,
    id: TokenId,
    _folder: TempDir,
}

fn admin() -> Caller {
    let principal = Principal { id: "admin".to_owned(), name: "admin".to_owned() };
    Caller::new(principal, "default".parse().unwrap(), Door::Native, Role::Admin)
}

impl Replicas {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::default();
        let clocked: Arc<dyn Clock> = Arc::new(clock.clone());
        let random: Arc<dyn Random> = Arc::new(SeededRandom::new(1));
        let settings = Settings { synchronous: Synchronous::Off, ..Settings::default() };
        let path = folder.path().join("innkeeper.db");
        let (of_store, chance) = (Arc::clone(&clocked), Arc::clone(&random));
        let store = Store::open_sqlite(&path, settings, of_store, chance).await.unwrap();
        let (none, settings) = (BTreeMap::new(), HouseSettings::default());
        let opening = Core::open(Arc::clone(&store), none, clocked, random, settings);
        let core = opening.await.unwrap();
        // Each remembers verified tokens for itself.
        let houses = [House::new(Arc::clone(&core)), House::new(core)];
        let request = NewToken {
            name: "ci".to_owned(),
            project: "default".parse().unwrap(),
            role: Role::Member,
            expires_at: None,
        };
        let (info, token) = houses[0].create_token(&admin(), request).await.unwrap();
        Self { clock, store, houses, token, id: info.id, _folder: folder }
    }

    async fn present(&self, to: usize) -> Result<Caller, Error> {
        self.houses[to].authenticate(&self.token, Door::Native).await
    }
}

#[tokio::test]
async fn a_token_in_steady_use_ends_within_its_bound_where_another_replica_revoked_it() {
    let replicas = Replicas::new().await;
    let every = FRESH / 4;
    // Used all the time: its row is never unread for longer than the bound.
    for _ in 0..40 {
        replicas.present(1).await.unwrap();
        replicas.clock.advance(every);
    }
    replicas.present(1).await.unwrap();
    replicas.houses[0].revoke_token(&admin(), replicas.id).await.unwrap();
    let mut late = Duration::ZERO;
    while replicas.present(1).await.is_ok() {
        assert!(late <= FRESH, "still good {late:?} after it was revoked");
        replicas.clock.advance(every);
        late += every;
    }
    assert!(matches!(replicas.present(1).await, Err(Error::Unauthenticated { .. })));
}

#[tokio::test]
async fn a_token_ends_at_once_where_it_was_revoked() {
    let replicas = Replicas::new().await;
    replicas.present(0).await.unwrap();
    replicas.houses[0].revoke_token(&admin(), replicas.id).await.unwrap();
    assert!(matches!(replicas.present(0).await, Err(Error::Unauthenticated { .. })));
}

#[tokio::test]
async fn a_known_token_is_good_without_the_data_base_for_so_long_and_an_unknown_one_is_not() {
    let replicas = Replicas::new().await;
    replicas.present(0).await.unwrap();
    replicas.store.close().await;
    replicas.clock.advance(TRUST - FRESH);
    replicas.present(0).await.unwrap();
    let unknown = replicas.present(1).await;
    assert!(matches!(unknown, Err(Error::Unavailable { .. })), "{unknown:?}");
    replicas.clock.advance(FRESH);
    let over = replicas.present(0).await;
    assert!(matches!(over, Err(Error::Unavailable { .. })), "{over:?}");
}
