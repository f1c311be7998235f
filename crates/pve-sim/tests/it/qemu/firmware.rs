//! A user's own image, which boots by firmware.

use std::time::Instant;

use pve_sim::machine::Backend;

use super::{BOOT_WITHIN, TURN, open, serve_seed, spec, tiny};

/// A boot sector that prints `hi` on the first serial port and halts.
fn image() -> Vec<u8> {
    let mut bytes = vec![0; 1 << 20];
    let code = [
        0xba, 0xf8, 0x03, // mov dx, 0x3f8
        0xb0, b'h', 0xee, // mov al, 'h'; out dx, al
        0xb0, b'i', 0xee, // mov al, 'i'; out dx, al
        0xf4, 0xeb, 0xfd, // hlt; jmp to the hlt
    ];
    bytes[..code.len()].copy_from_slice(&code);
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_image_boots_by_firmware_from_every_bus() {
    let _turn = TURN.lock().await;
    let root = tempfile::tempdir().unwrap();
    let backend = open(root.path()).await.unwrap();
    let file = root.path().join("image.raw");
    std::fs::write(&file, image()).unwrap();
    let mut guest = spec(&tiny().await, serve_seed(vec![]).await);
    guest.boot = None;
    backend.import(&file, &guest.disks[0].1).await.unwrap();
    for device in ["scsi0", "virtio0", "sata0"] {
        device.clone_into(&mut guest.disks[0].0);
        backend.start(&guest).await.unwrap();
        let start = Instant::now();
        while !backend.console(100).ends_with("hi") {
            assert!(start.elapsed() < BOOT_WITHIN, "{device} does not boot");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        backend.kill(100).await.unwrap();
        assert!(!backend.is_running(100).await);
    }
}
