//! `GET /nodes/{node}/qemu/{vmid}/feature`

use serde_json::{Value, json};

use crate::calls::guests::snapshot;
use crate::engine::Call;
use crate::fail::Fail;

/// Whether a virtual machine can be snapshotted, cloned or copied, and where.
pub(crate) fn feature(call: &mut Call<'_>) -> Result<Value, Fail> {
    let guest = call.world.vm(call.params.node(), call.params.vmid())?;
    let has = match call.params.text("feature") {
        "snapshot" => snapshot::is_possible(call.world, guest),
        "clone" => guest.is_template(),
        _ => true,
    };
    Ok(json!({"hasFeature": u8::from(has), "nodes": [guest.node]}))
}
