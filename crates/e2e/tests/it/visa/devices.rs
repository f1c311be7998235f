//! Flavours that ask for devices, and starts that fail.

use std::time::{Duration, Instant};

use ::client::wire::{Device, NewFlavour};
use e2e::served::Site;
use pve::cluster::{MappingKind, MappingRequest};
use pve_sim::{Effect, Fault, Simulator};
use serde_json::{Value, json};

use super::client::Client;
use super::{cluster, door, guest, until};

/// As many devices as the host has.
async fn map_devices(simulator: &Simulator) {
    let client = super::cluster_client(simulator);
    for (name, mdev, map) in [
        ("gpu-a", false, "node=pve2,path=0000:01:00.0,id=10de:1db6"),
        ("vgpu", true, "node=pve1,path=0000:81:00.0,id=10de:2230"),
    ] {
        let request = MappingRequest::new().map([map]).mdev(mdev);
        client.cluster().mapping(MappingKind::Pci, name).create(&request).await.expect("mapped");
    }
}

async fn create(visa: &Client, flavour: &str, name: &str) -> String {
    let body = json!({"name": name, "imageId": "9000", "flavourId": flavour, "metadata": {}});
    let created = visa.call("POST", "/api/instances", Some(&body)).await;
    assert_eq!(created.status, 201, "{created:?}");
    created.json()["id"].as_str().expect("a text").to_owned()
}

/// What the routes of newer clients say of devices.
async fn devices(visa: &Client, flavour: &str, given: u64) {
    let gpu = json!({"identifier": "gpu-a", "type": "PCI_PASSTHROUGH"});
    let vgpu = json!({"identifier": "vgpu", "type": "VIRTUAL_GPU"});
    assert_eq!(visa.get("/api/devices").await, json!([gpu, vgpu]));
    assert_eq!(visa.get("/api/device/VIRTUAL_GPU/vgpu").await, vgpu);
    let other = visa.call("GET", "/api/device/VIRTUAL_GPU/gpu-a", None).await;
    assert_eq!(other.status, 404);
    let allocation = json!([{"flavourId": flavour, "device": gpu, "unitCount": 1}]);
    assert_eq!(visa.get("/api/device_allocations").await, allocation);
    let of_it = visa.get(&format!("/api/flavours/{flavour}/device_allocations")).await;
    assert_eq!(of_it, allocation);
    let classes = visa.get("/api/custom_resource_classes").await;
    assert_eq!(classes, json!(["CUSTOM_GPU_A", "CUSTOM_VGPU"]));
    let rows = visa.get("/api/hypervisor_inventories").await;
    assert_eq!(rows[1]["inventory"]["CUSTOM_GPU_A"], 1, "{rows}");
    assert_eq!(rows[0]["inventory"]["CUSTOM_GPU_A"], Value::Null, "{rows}");
    let rows = visa.get("/api/hypervisor_usages").await;
    assert_eq!(rows[1]["usage"]["CUSTOM_GPU_A"], given, "{rows}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_are_given_once_and_starts_are_tried_again() {
    let simulator = cluster().await;
    map_devices(&simulator).await;
    let folder = tempfile::tempdir().expect("a folder");
    let (address, table) = door(folder.path());
    let settings = "start_retries = 2";
    let site = Site::with_store(&simulator, simulator.token(), settings, &table).expect("a site");
    let mut server = site.serve().expect("it starts");
    let native = site.open(&mut server).await.expect("it opens");
    let visa = Client { address, token: "visa-token".to_owned() };
    let gpu = Device { name: "gpu-a".to_owned(), part: None, count: 1 };
    let flavour = NewFlavour {
        name: "gpu".to_owned(),
        cores: 1,
        memory_bytes: 1 << 30,
        disk_bytes: None,
        devices: vec![gpu],
    };
    let flavour = native.create_flavour(&flavour).await.expect("a flavour").id.to_string();
    visa.until_images().await;
    devices(&visa, &flavour, 0).await;

    // As often as it is tried again.
    let start = || Fault::on("POST", "/nodes/*/qemu/*/status/start");
    let text = "start failed: QEMU exited with code 1";
    simulator.fault(start().times(2).then(Effect::TaskFails(text.to_owned())));
    let first = create(&visa, &flavour, "VISA-INSTANCE-1").await;
    until(&visa, &first, "ACTIVE", &["ERROR", "STOPPED"]).await;
    let found = guest(&simulator, "VISA-INSTANCE-1").expect("a guest");
    assert_eq!(found["config"]["hostpci0"], "mapping=gpu-a", "{found}");
    devices(&visa, &flavour, 1).await;
    let second = create(&visa, &flavour, "VISA-INSTANCE-2").await;
    let row = until(&visa, &second, "ERROR", &["ACTIVE"]).await;
    let why = row["fault"]["message"].as_str().expect("a text");
    assert!(why.contains("pve2: device gpu-a: 1 of 1 given away"), "{why}");
    assert!(guest(&simulator, "VISA-INSTANCE-2").is_none());

    // Once more than it is tried again: nothing is left, and the fault says why.
    let deleted = visa.call("DELETE", &format!("/api/instances/{first}"), None).await;
    assert_eq!(deleted.status, 200);
    let begun = Instant::now();
    while visa.call("GET", &format!("/api/instances/{first}"), None).await.status != 404 {
        assert!(begun.elapsed() < Duration::from_secs(120), "it is not deleted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let fault = simulator.fault(start().times(9).then(Effect::TaskFails(text.to_owned())));
    let third = create(&visa, &flavour, "VISA-INSTANCE-3").await;
    let row = until(&visa, &third, "ERROR", &["ACTIVE"]).await;
    let why = row["fault"]["message"].as_str().expect("a text");
    assert!(why.contains(text), "{why}");
    assert_eq!(simulator.fault_hits(fault), 3);
    assert!(guest(&simulator, "VISA-INSTANCE-3").is_none());
    server.kill().await.expect("it served until now");
}
