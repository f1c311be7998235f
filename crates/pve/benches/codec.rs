//! How fast property strings are read, checked and printed, as ratios to a
//! plain split of the same texts at `,` and `=` in the same run.
//!
//! `cargo bench -p innkeeper-pve --bench codec`. With `--quick` (or under
//! `cargo test --benches`) it only shows that it works.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use pve::Release;
use pve::property::{Disk, Format, Nic, PropertyString, VolumeId};

const TEXTS: [(&str, &str); 6] = [
    ("qemu/net", "virtio=BC:24:11:AF:DC:DE,bridge=vmbr0,firewall=1,tag=7"),
    (
        "qemu/scsi",
        "local:9000/base-9000-disk-0.qcow2/505/vm-505-disk-0.qcow2,discard=on,iothread=1,size=1500M,ssd=1",
    ),
    ("qemu/scsi", "local-lvm:vm-100-disk-0,backup=0,replicate=0,size=32G"),
    ("lxc/net", "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:40:5A:5A,ip=10.0.0.9/24,type=veth"),
    ("lxc/mp", "local-lvm:vm-100-disk-0,mp=/opt/app,backup=0,quota=1,replicate=0,size=1G"),
    ("qemu/cpu", "host,flags=+aes;-pcid,hidden=1"),
];

/// Nanoseconds per text: the best of several rounds, which other work on the
/// machine disturbs least.
fn measure(rounds: u32, loops: u32, mut work: impl FnMut(&'static Format, &'static str)) -> f64 {
    let mut best = Duration::MAX;
    for _ in 0..rounds {
        let begin = Instant::now();
        for _ in 0..loops {
            for (format, text) in TEXTS {
                work(Format::named(format).unwrap(), black_box(text));
            }
        }
        best = best.min(begin.elapsed());
    }
    best.as_secs_f64() * 1e9 / f64::from(loops) / TEXTS.len() as f64
}

fn plain_split(text: &str) -> Vec<(&str, &str)> {
    text.split(',').map(|part| part.split_once('=').unwrap_or(("", part))).collect()
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick" || argument == "--test");
    let (rounds, loops) = if quick { (1, 1) } else { (20, 2000) };
    let base = measure(rounds, loops, |_, text| {
        black_box(plain_split(text));
    });
    println!("plain split at ',' and '=': {base:.0} ns per text");
    let report = |what: &str, took: f64| {
        println!("{what:<44} {took:>8.0} ns   {:>6.1} x plain split", took / base);
    };
    report(
        "read (PropertyString)",
        measure(rounds, loops, |_, text| {
            black_box(text.parse::<PropertyString>().unwrap());
        }),
    );
    report(
        "read and print as it was",
        measure(rounds, loops, |_, text| {
            black_box(text.parse::<PropertyString>().unwrap().to_string());
        }),
    );
    report(
        "read and print as Proxmox prints it",
        measure(rounds, loops, |format, text| {
            black_box(format.print(&text.parse().unwrap()));
        }),
    );
    report(
        "read and check for a release",
        measure(rounds, loops, |format, text| {
            format.check(&text.parse().unwrap(), Release::V9_2).unwrap();
        }),
    );
    report(
        "read into a typed view (disk or interface)",
        measure(rounds, loops, |format, text| {
            if format.name() == "qemu/net" {
                black_box(text.parse::<Nic>().unwrap());
            } else {
                black_box(text.parse::<Disk>().ok());
            }
        }),
    );
    report(
        "read a volume id",
        measure(rounds, loops, |_, text| {
            let id = text.split(',').next().unwrap_or_default();
            black_box(id.parse::<VolumeId>().map(|id| id.kind()).ok());
        }),
    );
}
