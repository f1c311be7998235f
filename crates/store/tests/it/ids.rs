//! Reserved and retired ids.

use std::time::Duration;

use model::{AttemptId, Instance};
use store::{Change, Error, IdReservation};

use super::world::World;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn from(range: std::ops::RangeInclusive<u64>) -> IdReservation {
    IdReservation { pool: "proxmox/lab/vmid".to_owned(), range, taken: Vec::new(), retire_for: DAY }
}

async fn reserve(
    world: &World,
    instance: &Instance,
    requests: &[IdReservation],
) -> Result<Vec<u64>, Error> {
    let mark = world.mark(instance);
    world.store.reserve_ids(instance.id, instance.attempt, &mark, requests).await
}

#[tokio::test]
async fn the_same_attempt_gets_the_same_ids_again() {
    let world = World::new().await;
    let (one, two) = (world.instance(), world.instance());
    let requests = [from(100..=199), from(100..=199)];
    assert_eq!(reserve(&world, &one, &requests).await, Ok(vec![100, 101]));
    assert_eq!(reserve(&world, &two, &requests).await, Ok(vec![102, 103]));
    assert_eq!(reserve(&world, &one, &requests).await, Ok(vec![100, 101]));
    let world = world.reopen().await;
    assert_eq!(reserve(&world, &one, &requests).await, Ok(vec![100, 101]));
    let attempt = AttemptId::generate(&world.clock, &*world.random);
    let again = Instance { attempt, ..one };
    assert_eq!(reserve(&world, &again, &requests).await, Ok(vec![104, 105]));
}

#[tokio::test]
async fn pools_do_not_see_each_other() {
    let world = World::new().await;
    let other = IdReservation { pool: "proxmox/other/vmid".to_owned(), ..from(100..=199) };
    let ids = reserve(&world, &world.instance(), &[from(100..=199), other]).await;
    assert_eq!(ids, Ok(vec![100, 100]));
}

#[tokio::test]
async fn ids_go_round_and_skip_what_is_taken_reserved_or_retired() {
    let world = World::new().await;
    let first = world.instance();
    let skipping = |taken: &[u64]| IdReservation { taken: taken.to_vec(), ..from(10..=14) };
    assert_eq!(reserve(&world, &first, &[skipping(&[10, 12])]).await, Ok(vec![11]));
    assert_eq!(reserve(&world, &world.instance(), &[skipping(&[10, 12])]).await, Ok(vec![13]));
    assert_eq!(reserve(&world, &world.instance(), &[skipping(&[])]).await, Ok(vec![14]));
    assert_eq!(reserve(&world, &world.instance(), &[skipping(&[])]).await, Ok(vec![10]));
    assert_eq!(reserve(&world, &world.instance(), &[skipping(&[])]).await, Ok(vec![12]));
    let last = world.instance();
    let Err(Error::Constraint(text)) = reserve(&world, &last, &[from(10..=14)]).await else {
        panic!("a sixth id of five")
    };
    assert_eq!(
        text,
        "no id is free in proxmox/lab/vmid from 10 to 14: each is in use, reserved or was given \
         back not long ago"
    );

    // Given back, it is still nobody's for a day; its mark is remembered.
    let retire = Change::RetireIds { owner: first.id, attempt: Some(first.attempt), watch: true };
    world.store.commit(vec![retire]).await.unwrap();
    assert!(reserve(&world, &last, &[from(10..=14)]).await.is_err());
    let retired = world.store.retired_ids("proxmox/lab/").await.unwrap();
    assert_eq!(retired.len(), 1);
    assert_eq!((retired[0].value, retired[0].mark), (11, world.mark(&first)));
    assert_eq!(retired[0].until, world.later(24 * 3600));
    assert!(world.store.retired_ids("proxmox/la%").await.unwrap().is_empty());
    world.clock.advance(DAY - Duration::from_millis(1));
    assert!(reserve(&world, &last, &[from(10..=14)]).await.is_err());
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(reserve(&world, &last, &[from(10..=14)]).await, Ok(vec![11]));
    assert!(world.store.retired_ids("").await.unwrap().is_empty());
}

#[tokio::test]
async fn when_one_id_is_missing_none_is_reserved() {
    let world = World::new().await;
    let requests = [from(10..=12), from(20..=20), from(20..=20)];
    assert!(reserve(&world, &world.instance(), &requests).await.is_err());
    assert_eq!(reserve(&world, &world.instance(), &[from(10..=12)]).await, Ok(vec![10]));
}

#[tokio::test]
async fn a_long_run_of_reserved_ids_is_passed_over() {
    let world = World::new().await;
    let mut requests = vec![from(1000..=9000); 600];
    let ids = reserve(&world, &world.instance(), &requests).await.unwrap();
    assert_eq!(ids, (1000..1600).collect::<Vec<_>>());
    requests.truncate(1);
    requests[0].taken = (1600..8000).collect();
    assert_eq!(reserve(&world, &world.instance(), &requests).await, Ok(vec![8000]));
    requests[0].range = 1000..=8000;
    requests[0].taken = vec![];
    assert_eq!(reserve(&world, &world.instance(), &requests).await, Ok(vec![1600]));
}

#[tokio::test]
async fn an_instance_that_is_removed_retires_all_of_its_ids() {
    let world = World::new().await;
    let instance = world.instance();
    world.store.commit(vec![Change::InsertInstance(Box::new(instance.clone()))]).await.unwrap();
    reserve(&world, &instance, &[from(10..=19), from(10..=19)]).await.unwrap();
    world.store.retire_id("proxmox/lab/vmid".to_owned(), 10).await.unwrap();
    assert_eq!(world.store.retired_ids("").await.unwrap().len(), 1);
    world.store.commit(vec![Change::RemoveInstance(instance.id)]).await.unwrap();
    // Both are nobody's for a day; the one that was not watched is no tombstone.
    let other = world.instance();
    assert!(reserve(&world, &other, &[from(10..=11)]).await.is_err());
    assert_eq!(world.store.retired_ids("").await.unwrap().len(), 1);
    world.clock.advance(DAY);
    world.store.compact(world.later(0)).await.unwrap();
    assert_eq!(reserve(&world, &instance, &[from(10..=19)]).await, Ok(vec![12]));
}
