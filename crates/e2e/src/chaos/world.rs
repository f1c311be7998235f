//! The cluster, what belongs to others in it, and what goes wrong.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use pve_sim::{Effect, Fault, FaultId, GuestSeed, NodeSeed, Simulator, StorageSeed, TaskDurations};

/// A guest that another installation of Innkeeper has marked as its own.
const FOREIGN_MARK: &str = "innkeeper/1 11111111-1111-4111-8111-111111111111 \
    22222222-2222-4222-8222-222222222222 33333333-3333-4333-8333-333333333333";

/// The name of guests that take an id just before a clone does.
pub const INTRUDER: &str = "intruder";

/// Two hosts with a shared storage, our template, and what belongs to others:
/// guests (one of them in our range of ids, with the mark of another
/// installation), a template, and security groups.
///
/// # Errors
/// When the simulator cannot start.
pub async fn start(seed: u64) -> anyhow::Result<Simulator> {
    let quick = Duration::from_millis(300);
    let foreign = GuestSeed::new(100_002, "of-another-installation")
        .on("pve2")
        .disk("nfs", 1024)
        .option("description", FOREIGN_MARK)
        .option("tags", "innkeeper");
    let busy = GuestSeed::new(501, "somebody-elses-busy").on("pve1").disk("nfs", 1024);
    let started = Simulator::builder()
        .random_seed(seed)
        .stats_interval(Duration::from_secs(1))
        .durations(
            TaskDurations::all(quick)
                .with("qmclone", Duration::from_millis(900))
                .with("qmdestroy", Duration::from_millis(500)),
        )
        .node(NodeSeed::new("pve1"))
        .node(NodeSeed::new("pve2"))
        .storage(StorageSeed::new("nfs", "nfs"))
        .template(GuestSeed::new(9000, "debian").on("pve1").disk("nfs", 2048))
        .template(GuestSeed::new(9100, "somebody-elses").on("pve2").disk("nfs", 1024))
        .guest(GuestSeed::new(500, "somebody-elses").on("pve2").disk("nfs", 1024))
        .guest(GuestSeed { running: true, ..busy })
        .guest(foreign)
        .firewall_group("web")
        .firewall_group("db")
        .start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .await;
    started.context("the simulator does not start")
}

/// A planned fault, for the report.
pub struct Planned {
    pub what: String,
    pub id: FaultId,
}

const CLONE: (&str, &str) = ("POST", "/nodes/*/qemu/*/clone");
const CONFIGURE: (&str, &str) = ("PUT", "/nodes/*/qemu/*/config");
const GROW: (&str, &str) = ("PUT", "/nodes/*/qemu/*/resize");
const GUARD: (&str, &str) = ("POST", "/nodes/*/qemu/*/firewall/rules");
const START: (&str, &str) = ("POST", "/nodes/*/qemu/*/status/start");
const STOP: (&str, &str) = ("POST", "/nodes/*/qemu/*/status/stop");
const DESTROY: (&str, &str) = ("DELETE", "/nodes/*/qemu/*");
const READ: (&str, &str) = ("GET", "/**");

/// Plans the faults. Each has its chance (in a thousand) and strikes a bounded
/// number of times: every write that is in doubt costs the settle time, which
/// is at least half a minute of real time.
pub fn plan(simulator: &Simulator) -> Vec<Planned> {
    let ms = Duration::from_millis;
    let text = |text: &str| text.to_owned();
    let late = |millis, answers_596| Effect::Later { after: ms(millis), answers_596 };
    let gateway = |status, done| Effect::Gateway { status, done };
    let intruder = Effect::ForeignGuest { name: INTRUDER.to_owned(), description: None };
    let faults = [
        ("clone: answer lost", CLONE, 70, 4, Effect::LoseReply),
        ("clone: 596, done", CLONE, 50, 3, gateway(596, true)),
        ("clone: 596, not done", CLONE, 40, 2, gateway(596, false)),
        ("clone: 596, late worker", CLONE, 70, 4, late(1500, true)),
        ("clone: dropped, late worker", CLONE, 50, 3, late(2200, false)),
        ("clone: 595", CLONE, 60, 5, gateway(595, false)),
        ("clone: lock timeout", CLONE, 60, 5, Effect::LockTimeout),
        ("clone: task fails", CLONE, 60, 4, Effect::TaskFails(text("clone failed: I/O error"))),
        ("clone: task fails half way", CLONE, 30, 2, Effect::TaskFailsPartly(text("I/O error"))),
        ("clone: task vanishes, done", CLONE, 50, 3, Effect::TaskVanishes { done: true }),
        ("clone: task vanishes, not done", CLONE, 30, 2, Effect::TaskVanishes { done: false }),
        ("clone: id taken", CLONE, 40, 3, intruder),
        ("clone: slow", CLONE, 200, u32::MAX, Effect::Delay(ms(500))),
        ("configure: answer lost", CONFIGURE, 60, 4, Effect::LoseReply),
        ("configure: lock timeout", CONFIGURE, 60, 5, Effect::LockTimeout),
        ("configure: late", CONFIGURE, 40, 3, late(1200, true)),
        ("configure: slow", CONFIGURE, 200, u32::MAX, Effect::Delay(ms(300))),
        ("grow: answer lost", GROW, 80, 3, Effect::LoseReply),
        ("grow: task fails", GROW, 60, 2, Effect::TaskFails(text("resize failed: I/O error"))),
        ("guard: answer lost", GUARD, 80, 4, Effect::LoseReply),
        ("guard: late", GUARD, 50, 3, late(1200, false)),
        ("start: answer lost", START, 60, 4, Effect::LoseReply),
        ("start: 596, late worker", START, 50, 3, late(1500, true)),
        ("start: task fails", START, 50, 4, Effect::TaskFails(text("start failed: QEMU exited"))),
        ("start: task vanishes, done", START, 40, 2, Effect::TaskVanishes { done: true }),
        ("start: slow", START, 200, u32::MAX, Effect::Delay(ms(300))),
        ("stop: answer lost", STOP, 60, 4, Effect::LoseReply),
        ("stop: lock timeout", STOP, 60, 4, Effect::LockTimeout),
        ("stop: 596, late worker", STOP, 40, 3, late(1500, true)),
        ("destroy: answer lost", DESTROY, 70, 4, Effect::LoseReply),
        ("destroy: 596, late worker", DESTROY, 60, 4, late(1800, true)),
        ("destroy: lock timeout", DESTROY, 60, 4, Effect::LockTimeout),
        ("destroy: task fails", DESTROY, 50, 3, Effect::TaskFails(text("got lock timeout"))),
        ("destroy: slow", DESTROY, 200, u32::MAX, Effect::Delay(ms(400))),
        ("read: 595", READ, 8, 40, gateway(595, false)),
        ("read: 596", READ, 8, 40, gateway(596, false)),
        ("read: dropped", READ, 5, 30, Effect::Drop),
        ("read: slow", READ, 20, u32::MAX, Effect::Delay(ms(400))),
    ];
    faults
        .into_iter()
        .map(|(what, (method, path), permille, times, effect)| {
            let fault = Fault::on(method, path).chance(permille).times(times).then(effect);
            Planned { what: what.to_owned(), id: simulator.fault(fault) }
        })
        .collect()
}
