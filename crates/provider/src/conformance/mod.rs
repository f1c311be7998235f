//! What every provider has to do, as one call: [`run`].
//!
//! The suite works on a real cloud of the provider, or a simulated one, through
//! a [`Harness`]. It panics with the fact that does not hold; it is meant for
//! tests. It leaves nothing behind.
#![allow(clippy::panic, reason = "a test suite speaks by panicking")]

mod create;
mod destroy;
mod hand;
mod power;
mod reads;

use std::time::Duration;

use async_trait::async_trait;
use model::{CreateIntent, Mark};
use serde_json::Value;

use crate::{Facts, IdRequest, Provider, ReservedId};

/// What the suite needs from whoever runs it.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The provider under test.
    fn provider(&self) -> &dyn Provider;

    /// Lets this much of the cloud's time pass.
    async fn advance(&self, duration: Duration);

    /// A guest to make: powered on at the end and with as many branches of the
    /// plan as the provider has (a larger disk, security groups, a seed). Two
    /// guests made of it may exist at once. The facts are those of planning,
    /// the image and the host among them; the mark is the suite's.
    async fn create(&self) -> (CreateIntent, Facts);

    /// A mark that was never given before, always of the same installation.
    fn mark(&self) -> Mark;

    /// An id of this pool that was never given before.
    fn reserve(&self, request: &IdRequest) -> ReservedId;

    /// All of the cloud that an action could change or leave behind: guests,
    /// disks, running tasks. No times, no logs.
    async fn dump(&self) -> Value;

    /// Puts somebody else's guest at this id, in place of what stands there.
    /// With a mark it is a copy of a guest with that mark. Called only when the
    /// provider's create plan needs an id.
    async fn plant(&self, id: &ReservedId, mark: Option<Mark>);

    /// Removes the guest at this id, whoever owns it.
    async fn uproot(&self, id: &ReservedId);

    /// How many requests the cloud has got, when it counts them.
    async fn requests(&self) -> Option<usize>;
}

/// Runs the suite.
///
/// # Panics
/// With the fact that does not hold.
pub async fn run(harness: &dyn Harness) {
    let before = harness.dump().await;
    create::planning_is_a_function(harness).await;
    create::what_never_happened_is_taken_back(harness).await;
    create::every_beginning_is_taken_back(harness).await;
    create::actions_may_be_applied_twice(harness).await;
    reads::a_guest_is_seen(harness).await;
    reads::handles_are_answered_in_order(harness).await;
    power::wishes_that_are_fulfilled_succeed(harness).await;
    destroy::a_guest_is_removed_once_and_again(harness).await;
    destroy::the_reserved_id_is_enough(harness).await;
    destroy::foreign_guests_are_left_alone(harness).await;
    hand::same(&before, &harness.dump().await, "the suite leaves the cloud as it was");
}
