//! What can be read.

use std::time::Duration;

use model::{InstallationId, Mark, PowerState};

use super::Harness;
use super::hand::{Made, follow};
use crate::{Applied, Existence, Handle, HandleState};

/// How long a guest may take until it tells its addresses.
const BOOT: Duration = Duration::from_secs(300);

pub(super) async fn a_guest_is_seen(harness: &dyn Harness) {
    let provider = harness.provider();
    let mut made = Made::made(harness).await;
    let key = provider.guest_key(&made.native);
    let Some(key) = key else { panic!("the reference of a made guest gives a key") };

    let batch = provider.observe().await;
    let Ok(batch) = batch else { panic!("the cloud can be observed: {batch:?}") };
    assert!(batch.incomplete.is_none(), "a healthy cloud is seen whole: {:?}", batch.incomplete);
    let seen: Vec<_> = batch.guests.iter().filter(|guest| guest.key == key).collect();
    let [seen] = seen.as_slice() else { panic!("observe sees the guest once: {seen:?}") };
    assert!(seen.name == made.intent.name, "observe sees the guest's name: {seen:?}");
    assert!(seen.host == made.intent.host, "observe sees where the guest is: {seen:?}");
    assert!(seen.labelled, "observe sees that the guest is labelled");
    assert!(seen.power == PowerState::Running, "observe sees that the guest runs: {seen:?}");
    assert!(
        batch.hosts.iter().any(|host| host.id == made.intent.host && host.online),
        "observe sees the guest's host online"
    );
    if let Some(image) = &made.facts.image {
        let found = batch.images.iter().find(|view| view.name == image.name);
        assert!(
            found.is_some_and(|view| view.presence.hosts.contains(&made.intent.host)),
            "observe sees the image on the host: {found:?}"
        );
    }

    let exists = provider.exists(&made.native, &made.mark).await;
    assert!(exists == Ok(Existence::Ours), "a made guest exists and is ours: {exists:?}");
    let other = harness.mark().instance;
    let installation = InstallationId::from_uuid(other.as_uuid());
    for stranger in [Mark { instance: other, ..made.mark }, Mark { installation, ..made.mark }] {
        let exists = provider.exists(&made.native, &stranger).await;
        assert!(exists == Ok(Existence::Foreign), "a guest of another mark is foreign: {exists:?}");
    }

    let orphan = provider.inspect(&key).await;
    let Ok(Some(orphan)) = orphan else { panic!("a marked guest can be inspected: {orphan:?}") };
    assert!(orphan.mark == made.mark, "inspect reads the mark: {:?}", orphan.mark);
    assert!(
        provider.guest_key(&orphan.native).as_ref() == Some(&key),
        "inspect gives a reference to the guest: {}",
        orphan.native
    );
    addresses(harness, &made).await;

    made.native = orphan.native;
    made.destroy(harness).await;
    let exists = provider.exists(&made.native, &made.mark).await;
    assert!(exists == Ok(Existence::Gone), "a removed guest is gone: {exists:?}");
    let orphan = provider.inspect(&key).await;
    assert!(orphan == Ok(None), "a removed guest carries no mark: {orphan:?}");
}

async fn addresses(harness: &dyn Harness, made: &Made) {
    let mut waited = Duration::ZERO;
    loop {
        match harness.provider().addresses(&made.native).await {
            Ok(Some(found)) if !found.is_empty() => return,
            Ok(_) => {}
            Err(error) => panic!("a guest can be asked for its addresses: {error}"),
        }
        waited += Duration::from_secs(1);
        assert!(waited < BOOT, "a running guest tells its addresses in the end");
        harness.advance(Duration::from_secs(1)).await;
    }
}

/// One that has ended, one that goes on and one that nobody knows, in one
/// request.
pub(super) async fn handles_are_answered_in_order(harness: &dyn Harness) {
    let provider = harness.provider();
    let (first, second) = (Made::planned(harness).await, Made::planned(harness).await);
    let (Some(one), Some(two)) = (first.plan.actions.first(), second.plan.actions.first()) else {
        return;
    };
    let begun = provider.apply(one, &first.context()).await;
    let Ok(Applied::Started(ended)) = begun else {
        assert!(begun.is_ok(), "{} can be begun: {begun:?}", one.name);
        first.undo(harness, one).await;
        return;
    };
    let end = follow(harness, &ended, one.deadline).await;
    assert!(end == HandleState::Ok, "{} ends well: {end:?}", one.name);
    let begun = provider.apply(two, &second.context()).await;
    let Ok(Applied::Started(running)) = begun else {
        panic!("{} begins the same way each time: {begun:?}", two.name)
    };
    let host = ended.host.clone();
    assert!(host == running.host, "the handles of one host name that host");
    let unknown = Handle { host: host.clone(), reference: "unknown".to_owned() };

    let before = harness.requests().await;
    let states = provider.poll(&host, &[ended.clone(), running.clone(), unknown.clone()]).await;
    let after = harness.requests().await;
    assert!(
        matches!(
            states.as_deref(),
            Ok([HandleState::Ok, HandleState::Running { .. }, HandleState::Lost])
        ),
        "handles are answered in their order: {states:?}"
    );
    if let (Some(before), Some(after)) = (before, after) {
        assert!(after - before == 1, "one request asks for all handles: {}", after - before);
    }
    let states = provider.poll(&host, &[unknown, running, ended]).await;
    assert!(
        matches!(
            states.as_deref(),
            Ok([HandleState::Lost, HandleState::Running { .. }, HandleState::Ok])
        ),
        "handles are answered in their order: {states:?}"
    );
    let none = provider.poll(&host, &[]).await;
    assert!(none == Ok(Vec::new()), "no handles, no answers: {none:?}");
    first.undo(harness, one).await;
    second.undo(harness, two).await;
}
