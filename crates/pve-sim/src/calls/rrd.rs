//! Series of figures over the simulator's time: deterministic waves, so that
//! the same question at the same time has the same answer.

use serde_json::{Map, Value, json};

use crate::engine::Call;

/// Seconds between two points, and how many points there are. Source: the
/// recorded answers, and the round-robin archives of pve-cluster.
fn grid(timeframe: &str) -> (u64, u64) {
    match timeframe {
        "day" => (1_800, 70),
        "week" => (10_800, 70),
        "month" => (43_200, 70),
        "year" => (604_800, 70),
        "decade" => (604_800, 570),
        _ => (60, 70),
    }
}

/// Seconds between two points of the asked time frame, and the points' times.
pub(crate) fn times(call: &Call<'_>) -> (u64, impl Iterator<Item = u64>) {
    let (step, count) = grid(call.params.text("timeframe"));
    let end = call.world.now.as_secs() / step * step;
    (step, (0..count).map(move |at| end.saturating_sub((count - 1 - at) * step)))
}

/// The points of a time frame. `point` gets a number between 0 and 1 that
/// moves slowly with the time, and differs from `name` to `name`; before the
/// machine was there a point has its time alone.
pub(crate) fn series(
    call: &Call<'_>,
    name: &str,
    point: impl Fn(f64) -> Vec<(&'static str, Value)>,
) -> Value {
    let (step, times) = times(call);
    let shift =
        name.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte)) % 1_000;
    let rows = times.map(|time| {
        let mut row = Map::new();
        row.insert("time".into(), json!(time));
        if time >= call.world.booted.as_secs() {
            let wave = (((time / step + shift) as f64) / 7.0).sin().mul_add(0.5, 0.5);
            row.extend(point(wave).into_iter().map(|(key, value)| (key.to_owned(), value)));
        }
        Value::Object(row)
    });
    rows.collect()
}

/// What `rrd` answers: the name of a picture (given below the data base's folder) and the picture, whose bytes are
/// the characters of a text. It is always the same grey pixel.
pub(crate) fn image(file: &str) -> Value {
    const PNG: &[u8] = &[
        0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, b'I', b'H', b'D', b'R', 0,
        0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0, 0x3a, 0x7e, 0x9b, 0x55, 0, 0, 0, 0x0a, b'I', b'D',
        b'A', b'T', 0x78, 0x9c, 0x63, 0x68, 0, 0, 0, 0x82, 0, 0x81, 0x77, 0xcd, 0x72, 0xb6, 0, 0,
        0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82,
    ];
    let text: String = PNG.iter().map(|byte| char::from(*byte)).collect();
    json!({"filename": format!("/var/lib/rrdcached/db/{file}.png"), "image": text})
}
