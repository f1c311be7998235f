//! Statistics over time: `…/rrddata` and `…/rrd`.

use serde_json::{Value, json};

use super::Family;
use crate::calls::rrd;
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::Version;
use crate::world::World;
use crate::world::guest::Guest;

/// `GET …/rrddata`: a point has figures when the guest was there for the whole
/// of its time; the other points hold only their time.
pub(crate) fn data<F: Family>(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let guest = world.guest_at(F::KIND, call.params.node(), call.params.vmid())?;
    let (step, times) = rrd::times(call);
    let created = guest.created.as_secs();
    let point = |time: u64| {
        let is_known = created + step <= time;
        if is_known { figures(world, guest, time) } else { json!({ "time": time }) }
    };
    Ok(times.map(point).collect())
}

/// The names of the figures that a release adds.
const PRESSURES: &[&str] = &["cpusome", "cpufull", "iosome", "iofull", "memorysome", "memoryfull"];

fn figures(world: &World, guest: &Guest, time: u64) -> Value {
    let runs = guest.process.as_ref().is_some_and(|process| process.since.as_secs() <= time);
    let mut row = json!({
        "time": time, "cpu": 0, "mem": if runs { guest.memory() / 4 } else { 0 }, "disk": 0,
        "maxcpu": guest.cpus(), "maxmem": guest.memory(), "maxdisk": guest.disk_size(),
        "netin": 0, "netout": 0,
    });
    if world.version == Version::V9_2 {
        row["memhost"] = row["mem"].clone();
        for name in PRESSURES {
            row[format!("pressure{name}")] = json!(0);
        }
    }
    row
}

/// `GET …/rrd`: a picture.
pub(crate) fn picture<F: Family>(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, vmid) = (call.params.node(), call.params.vmid());
    call.world.guest_at(F::KIND, node, vmid)?;
    let (timeframe, cf) = (call.params.text("timeframe"), call.params.get("cf"));
    let sources = call.params.text("ds").replace(',', "_");
    let cf = cf.unwrap_or("AVERAGE");
    Ok(rrd::image(&format!("pve2-vm/{vmid}_{sources}_{timeframe}_{cf}")))
}
