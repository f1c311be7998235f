//! Group commits, fencing, and the feed.

use engine::{Appended, JournalStore, Kind, Outcome, StoreError};
use futures::future::join_all;
use model::OperationKind;
use store::{Change, Error, FeedKind};

use super::world::{TTL, World, begun, lines, running};

fn put(world: &World, name: &str) -> Change {
    Change::PutFlavour(Box::new(world.flavour(name)))
}

#[tokio::test]
async fn a_request_that_fails_harms_none_that_share_its_commit() {
    let world = World::new().await;
    world.store.commit(vec![put(&world, "taken")]).await.unwrap();
    let requests = (0..200).map(|number| {
        let name = format!("flavour-{number:03}");
        let changes = match number % 10 {
            // The first change is good and must go with the second one.
            5 => vec![put(&world, &name), put(&world, "taken")],
            _ => vec![put(&world, &name)],
        };
        world.store.commit(changes)
    });
    let answers = join_all(requests).await;
    for (number, answer) in answers.iter().enumerate() {
        match number % 10 {
            5 => assert_eq!(answer, &Err(Error::Constraint("flavours.name".to_owned()))),
            _ => assert!(answer.is_ok(), "{number}: {answer:?}"),
        }
    }
    let names: Vec<_> =
        world.store.flavours().await.unwrap().into_iter().map(|flavour| flavour.name).collect();
    assert_eq!(names.len(), 181);
    assert!(!names.contains(&"flavour-005".to_owned()));
    let mut answers: Vec<_> = answers.into_iter().flatten().collect();
    answers.dedup();
    assert!(answers.len() < 20, "{} commits for 200 requests", answers.len());
}

#[tokio::test]
async fn what_is_closed_refuses_and_has_written_what_it_answered() {
    let world = World::new().await;
    let requests: Vec<_> =
        (0..100).map(|number| vec![put(&world, &format!("f{number}"))]).collect();
    let written = join_all(requests.into_iter().map(|changes| world.store.commit(changes)));
    let (answers, ()) = tokio::join!(written, world.store.close());
    let good = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(matches!(
        world.store.commit(vec![put(&world, "late")]).await,
        Err(Error::Unavailable(_))
    ));
    assert!(world.store.flavours().await.is_err());
    let world = world.reopen().await;
    assert_eq!(world.store.flavours().await.unwrap().len(), good);
}

#[tokio::test]
async fn only_the_executor_that_holds_a_workflow_can_append_and_only_in_order() {
    let world = World::new().await;
    let id = world.start(world.workflow(None)).await.unwrap();
    let first = world.epoch().await;
    let fenced = Err(StoreError::Fenced);
    let same = |a: &Result<Appended, StoreError>, b: &Result<Appended, StoreError>| {
        assert_eq!(format!("{a:?}"), format!("{b:?}"));
    };
    same(&world.append(first, id, 0, running()).await, &fenced);
    assert_eq!(world.claimed(first).await, [id]);
    assert!(world.claimed(first).await.is_empty());
    same(&world.append(first, id, 1, running()).await, &fenced);
    world.append(first, id, 0, running()).await.unwrap();
    same(&world.append(first, id, 0, running()).await, &fenced);

    // Nobody else gets it while the lease lasts; afterwards anybody does.
    let second = world.later_epoch().await;
    same(&world.append(first, id, 1, running()).await, &fenced);
    assert!(matches!(world.store.renew_epoch(first, TTL).await, Err(StoreError::Fenced)));
    assert!(matches!(world.store.claim(first, &[], 1).await, Err(StoreError::Fenced)));
    assert_eq!(world.claim(second).await[0].entries.len(), 1);
    world.clock.advance(TTL);
    same(&world.append(second, id, 1, running()).await, &fenced);
}

#[tokio::test]
async fn a_renewed_epoch_lives_on() {
    let world = World::new().await;
    let id = world.start(world.workflow(None)).await.unwrap();
    let epoch = world.epoch().await;
    assert_eq!(world.claimed(epoch).await, [id]);
    world.clock.advance(TTL / 2);
    world.store.renew_epoch(epoch, TTL).await.unwrap();
    world.clock.advance(TTL / 2);
    world.append(epoch, id, 0, running()).await.unwrap();
    world.store.release(epoch, id).await.unwrap();
    assert_eq!(world.claimed(epoch).await, [id]);
}

#[tokio::test]
async fn only_known_kinds_are_taken_up_the_earliest_first() {
    let world = World::new().await;
    let mut strange = world.workflow(None);
    strange.kind = Kind::new("toy", 2);
    world.start(strange).await.unwrap();
    let early = world.start(world.workflow(None)).await.unwrap();
    let late = world.start(world.workflow(None)).await.unwrap();
    let epoch = world.epoch().await;
    let one = world.store.claim(epoch, &[Kind::new("toy", 1)], 1).await.unwrap();
    assert_eq!(one[0].id, early);
    assert_eq!(world.claimed(epoch).await, [late]);
    assert!(world.store.claim(epoch, &[], 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn every_visible_change_moves_the_sequence_on_once_per_thing() {
    let world = World::new().await;
    let mut sequence = world.store.subscribe();
    let before = *sequence.borrow_and_update();
    let instance = world.instance();
    let operation = world.operate(&instance, OperationKind::Create).await.unwrap();
    sequence.changed().await.unwrap();
    let seen = |items: &[store::FeedItem]| -> Vec<(FeedKind, String)> {
        items.iter().map(|item| (item.kind, item.id.clone())).collect()
    };
    let items = world.store.changes_since(before).await.unwrap();
    let both = vec![
        (FeedKind::Instance, instance.id.to_string()),
        (FeedKind::Operation, operation.to_string()),
    ];
    assert_eq!(seen(&items), both);
    let last = *sequence.borrow_and_update();
    assert_eq!(items.last().unwrap().sequence, last);
    assert_eq!(
        world.store.instance(instance.id).await.unwrap().unwrap().sequence,
        items[0].sequence
    );

    // Steps are shown with their operation; the end changes the instance too,
    // because it has no operation any more.
    let epoch = world.epoch().await;
    world.claim(epoch).await;
    world.append(epoch, operation, 0, running()).await.unwrap();
    let items = world.store.changes_since(last).await.unwrap();
    assert_eq!(seen(&items), vec![(FeedKind::Operation, operation.to_string())]);
    let last = items[0].sequence;
    world.end(epoch, operation, 1, Outcome::Done).await;
    let items = world.store.changes_since(last).await.unwrap();
    assert_eq!(seen(&items), both);
    assert!(items.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
    assert!(items[0].sequence > last);
    assert_eq!(world.store.sequence().await.unwrap(), items[1].sequence);

    // What was rolled back is no news.
    let last = items[1].sequence;
    world.store.commit(vec![put(&world, "one")]).await.unwrap();
    world.store.commit(vec![put(&world, "two"), put(&world, "one")]).await.unwrap_err();
    assert_eq!(world.store.changes_since(last).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_change_that_fails_takes_its_journal_line_with_it() {
    let world = World::new().await;
    world.store.commit(vec![put(&world, "one")]).await.unwrap();
    let id = world.start(world.workflow(None)).await.unwrap();
    let epoch = world.epoch().await;
    world.claim(epoch).await;
    let mut commit = lines(vec![begun()], engine::Status::Running);
    commit.changes = vec![put(&world, "two"), put(&world, "one")];
    assert!(matches!(world.append(epoch, id, 0, commit).await, Err(StoreError::Corrupt(_))));
    let journal = world.store.operation_journal(id.as_operation()).await.unwrap().unwrap();
    assert!(journal.entries.is_empty());
    assert_eq!(world.store.flavours().await.unwrap().len(), 1);
    world.append(epoch, id, 0, running()).await.unwrap();
}

#[tokio::test]
async fn more_requests_than_the_queue_holds_wait_and_are_all_answered() {
    let world = World::new().await;
    let note = |number| Change::Note { instance: None, text: format!("note {number}") };
    let requests = (0..3000).map(|number| world.store.commit(vec![note(number)]));
    assert!(join_all(requests).await.iter().all(Result::is_ok));
    assert_eq!(world.store.events(None, 10_000).await.unwrap().len(), 3000);
}

#[tokio::test]
async fn a_long_feed_comes_in_parts_without_a_gap() {
    let world = World::new().await;
    let changes = (0..10_050).map(|number| put(&world, &format!("f{number}"))).collect();
    world.store.commit(changes).await.unwrap();
    let first = world.store.changes_since(0).await.unwrap();
    assert_eq!(first.len(), 10_000);
    let rest = world.store.changes_since(first[9_999].sequence).await.unwrap();
    assert_eq!(rest.len(), 50);
    let all: std::collections::BTreeSet<_> = first.iter().chain(&rest).map(|i| &i.id).collect();
    assert_eq!(all.len(), 10_050);
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_any_more_is_not_begun() {
    let world = World::new().await;
    let mut given_up = Box::pin(world.store.commit(vec![put(&world, "given up")]));
    // It gets into the queue; the writer has had no turn since.
    assert!(futures::poll!(given_up.as_mut()).is_pending());
    drop(given_up);
    world.store.commit(vec![put(&world, "kept")]).await.unwrap();
    let flavours = world.store.flavours().await.unwrap();
    assert_eq!(flavours.len(), 1);
    assert_eq!(flavours[0].name, "kept");
}
