//! A guest that was finished and deleted, and that an administrator restores from
//! a backup at its old id: it carries our mark, and nobody may remove it.

use std::time::Duration;

use e2e::bench::Bench;
use e2e::world::{MakeWorld, MemoryWorld, ProxmoxWorld};
use engine::Outcome;
use model::Mark;

use super::samples::request;

async fn a_restored_guest_stays(make: MakeWorld) {
    let mut bench = Bench::new(make, 1).await.unwrap();
    let (house, admin) = (bench.house(), bench.admin());
    let accepted = house.create_instance(&admin, request(&bench, "subject", true)).await.unwrap();
    assert_eq!(bench.settle(accepted.operation).await.unwrap(), Outcome::Done);
    let row = bench.store().instance(accepted.instance).await.unwrap().unwrap();
    let id =
        row.native.as_object().unwrap().values().filter_map(|value| value.as_u64()).max().unwrap();
    let installation = bench.store().installation_id();
    let mark = Mark { installation, instance: row.id, attempt: row.attempt };
    let deletion = house.delete_instance(&admin, row.id).await.unwrap();
    assert_eq!(bench.settle(deletion).await.unwrap(), Outcome::Done);

    bench.world.restore(u32::try_from(id).unwrap(), &mark);
    let before = bench.world.dump();
    bench.rest(Duration::from_secs(120)).await.unwrap();
    assert_eq!(bench.world.dump(), before, "a restored guest was touched");
}

#[tokio::test]
async fn a_guest_restored_from_a_backup_is_left_alone_over_memory() {
    a_restored_guest_stays(MemoryWorld::make).await;
}

#[tokio::test]
async fn a_guest_restored_from_a_backup_is_left_alone_over_proxmox() {
    a_restored_guest_stays(ProxmoxWorld::make).await;
}
