//! Seeds on media: there for the first boot, and gone afterwards.

use std::time::Duration;

use e2e::bench::Bench;
use e2e::oracle::{everything, same};
use e2e::world::MediaWorld;
use engine::Outcome;

use super::samples::request;

/// The medium's volume and the drive that it is in, as the cluster has them.
fn medium(bench: &Bench) -> (bool, bool) {
    let world = bench.world.dump().to_string();
    let drive = world.contains("nfs:iso/innkeeper-") && world.contains(".iso,media=cdrom");
    let volumes = bench.world.dump()["volumes"].to_string();
    (volumes.contains("iso/innkeeper-"), drive)
}

#[tokio::test]
async fn a_seed_on_a_medium_is_there_for_the_first_boot_and_gone_after_it() {
    let mut bench = Bench::new(MediaWorld::make, 1).await.unwrap();
    let before = everything(&bench).await.unwrap();
    let (house, admin) = (bench.house(), bench.admin());
    let accepted = house.create_instance(&admin, request(&bench, "web", true)).await.unwrap();
    let outcome = bench.settle(accepted.operation).await.unwrap();
    assert_eq!(outcome, Outcome::Done, "{}", bench.story(accepted.operation).await.unwrap());
    assert_eq!(medium(&bench), (true, true));

    bench.rest(Duration::from_secs(30)).await.unwrap();
    bench.ask_addresses().await;
    let row = bench.store().instance(accepted.instance).await.unwrap().unwrap();
    let (operation, _) = row.operation.expect("the house takes the medium away");
    assert_eq!(bench.settle(operation).await.unwrap(), Outcome::Done);
    assert_eq!(medium(&bench), (false, false));
    // Nothing is left to be done at the next answer.
    bench.rest(Duration::from_secs(600)).await.unwrap();
    bench.ask_addresses().await;
    let row = bench.store().instance(accepted.instance).await.unwrap().unwrap();
    assert_eq!(row.operation, None);

    let deletion = house.delete_instance(&admin, accepted.instance).await.unwrap();
    assert_eq!(bench.settle(deletion).await.unwrap(), Outcome::Done);
    bench.rest(Duration::from_secs(10)).await.unwrap();
    let after = everything(&bench).await.unwrap();
    same("world", &before["world"], &after["world"]).unwrap();
}

#[tokio::test]
async fn a_guest_that_is_deleted_before_it_has_booted_takes_its_medium_along() {
    let mut bench = Bench::new(MediaWorld::make, 1).await.unwrap();
    let before = everything(&bench).await.unwrap();
    let (house, admin) = (bench.house(), bench.admin());
    let accepted = house.create_instance(&admin, request(&bench, "web", false)).await.unwrap();
    assert_eq!(bench.settle(accepted.operation).await.unwrap(), Outcome::Done);
    assert_eq!(medium(&bench), (true, true));
    let deletion = house.delete_instance(&admin, accepted.instance).await.unwrap();
    assert_eq!(bench.settle(deletion).await.unwrap(), Outcome::Done);
    bench.rest(Duration::from_secs(10)).await.unwrap();
    let after = everything(&bench).await.unwrap();
    same("world", &before["world"], &after["world"]).unwrap();
}
