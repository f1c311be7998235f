//! The command line of a guest.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::accel::Accel;
use crate::machine::{BackendError, GuestSpec};

/// Where one start of one guest keeps its files.
pub(super) struct Places {
    pub(super) qmp: PathBuf,
    pub(super) agent: PathBuf,
    pub(super) console: PathBuf,
    pub(super) pid: PathBuf,
}

/// The node name under which a disk can be resized.
pub(super) fn node_name(device: &str) -> String {
    format!("disk-{device}")
}

/// Text inside an option: QEMU reads a doubled comma as a comma.
fn escaped(text: &str) -> String {
    text.replace(',', ",,")
}

fn path_option(path: &Path) -> Result<String, BackendError> {
    path.to_str()
        .map(escaped)
        .ok_or_else(|| BackendError::new(format!("the path {} is not valid UTF-8", path.display())))
}

/// `disks` are (device, file), in boot order; `port` is the loopback port that
/// leads to the first card's SSH port.
pub(super) fn render(
    guest: &GuestSpec,
    accel: Accel,
    places: &Places,
    disks: &[(String, PathBuf)],
    port: u16,
) -> Result<Vec<OsString>, BackendError> {
    let mut args: Vec<OsString> = Vec::new();
    let mut push = |words: &[&str]| args.extend(words.iter().map(OsString::from));
    push(&["-no-user-config", "-nodefaults", "-display", "none"]);
    push(&["-name", &format!("guest={}", escaped(&guest.name))]);
    push(&["-machine", "q35"]);
    push(accel.args());
    push(&["-smp", &guest.cores.to_string()]);
    push(&["-m", &format!("{}M", guest.memory_mib)]);
    push(&["-pidfile", text(&places.pid)?]);
    push(&["-chardev", &socket("qmp", &places.qmp)?]);
    push(&["-mon", "chardev=qmp,mode=control"]);
    let console = path_option(&places.console)?;
    push(&["-chardev", &format!("file,id=console,append=on,path={console}")]);
    push(&["-serial", "chardev:console"]);
    push(&["-device", "virtio-rng-pci"]);
    push(&["-smbios", &smbios(guest)]);
    if guest.agent {
        push(&["-device", "virtio-serial-pci"]);
        push(&["-chardev", &socket("agent", &places.agent)?]);
        let channel = "virtserialport,chardev=agent,name=org.qemu.guest_agent.0";
        push(&["-device", channel]);
    }
    for option in nics(guest, port)? {
        push(&[&option.0, &option.1]);
    }
    for option in disk_options(disks)? {
        push(&[&option.0, &option.1]);
    }
    if let Some(boot) = &guest.boot {
        push(&["-kernel", text(&boot.kernel)?]);
        if let Some(initrd) = &boot.initrd {
            push(&["-initrd", text(initrd)?]);
        }
        push(&["-append", &boot.append]);
    }
    Ok(args)
}

fn text(path: &Path) -> Result<&str, BackendError> {
    path.to_str()
        .ok_or_else(|| BackendError::new(format!("the path {} is not valid UTF-8", path.display())))
}

fn socket(id: &str, path: &Path) -> Result<String, BackendError> {
    let path = path_option(path)?;
    Ok(format!("socket,id={id},path={path},server=on,wait=off"))
}

fn smbios(guest: &GuestSpec) -> String {
    let mut option = String::from("type=1,manufacturer=QEMU");
    if !guest.smbios_uuid.is_empty() {
        option.push_str(",uuid=");
        option.push_str(&escaped(&guest.smbios_uuid));
    }
    if !guest.smbios_serial.is_empty() {
        option.push_str(",serial=");
        option.push_str(&escaped(&guest.smbios_serial));
    }
    option
}

/// Each card has a network of its own, 10.0.2.0/24 and upwards, so that a guest
/// with several cards has no address twice.
fn nics(guest: &GuestSpec, port: u16) -> Result<Vec<(String, String)>, BackendError> {
    let mut options = Vec::new();
    for (index, (mac, model)) in guest.nics.iter().enumerate() {
        let device = match model.as_str() {
            "virtio" => "virtio-net-pci",
            "e1000" | "e1000e" | "rtl8139" | "vmxnet3" => model,
            other => {
                return Err(BackendError::new(format!(
                    "network card net{index}: the model \"{other}\" is none of virtio, e1000, e1000e, rtl8139, vmxnet3"
                )));
            }
        };
        let forward =
            if index == 0 { format!(",hostfwd=tcp:127.0.0.1:{port}-:22") } else { String::new() };
        let net = 2 + index;
        options
            .push(("-netdev".into(), format!("user,id=net{index},net=10.0.{net}.0/24{forward}")));
        // An empty ROM file: no network boot, and no package with the ROMs needed.
        let mac = escaped(&mac.to_lowercase());
        options.push(("-device".into(), format!("{device},netdev=net{index},mac={mac},romfile=")));
    }
    Ok(options)
}

fn disk_options(disks: &[(String, PathBuf)]) -> Result<Vec<(String, String)>, BackendError> {
    let mut options = Vec::new();
    let mut has_scsi = false;
    let mut ahci_ports = 0;
    for (order, (device, file)) in disks.iter().enumerate() {
        let node = node_name(device);
        let bootindex = order + 1;
        // No flush: a simulated disk must survive this process, not the machine.
        let blockdev = json!({
            "driver": "qcow2", "node-name": node, "discard": "unmap", "detect-zeroes": "unmap",
            "cache": { "no-flush": true },
            "file": { "driver": "file", "filename": text(file)?, "cache": { "no-flush": true } },
        });
        options.push(("-blockdev".into(), blockdev.to_string()));
        let bus = device.trim_end_matches(|c: char| c.is_ascii_digit());
        let number = &device[bus.len()..];
        let option = match bus {
            "scsi" => {
                if !has_scsi {
                    options.push(("-device".into(), "virtio-scsi-pci,id=scsi".into()));
                    has_scsi = true;
                }
                format!("scsi-hd,bus=scsi.0,scsi-id={number},drive={node},bootindex={bootindex}")
            }
            "virtio" => format!("virtio-blk-pci,drive={node},bootindex={bootindex}"),
            // The six ports of q35's own controller, in order.
            "sata" | "ide" if ahci_ports < 6 => {
                ahci_ports += 1;
                let port = ahci_ports - 1;
                format!("ide-hd,bus=ide.{port},drive={node},bootindex={bootindex}")
            }
            _ => {
                return Err(BackendError::new(format!(
                    "disk {device}: expected scsiN, virtioN, or at most six of sataN and ideN"
                )));
            }
        };
        options.push(("-device".into(), option));
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use crate::machine::DirectKernel;

    fn guest() -> GuestSpec {
        GuestSpec {
            vmid: 100,
            name: "a,b".into(),
            cores: 2,
            memory_mib: 256,
            disks: vec![],
            nics: vec![("BC:24:11:00:00:01".into(), "virtio".into())],
            smbios_uuid: "6f9619ff-8b86-d011-b42d-00c04fc964ff".into(),
            smbios_serial: "ds=nocloud-net;s=http://10.0.2.2:1/a,b/".into(),
            agent: true,
            boot: None,
        }
    }

    fn render_it(guest: &GuestSpec, disks: &[(&str, &str)]) -> Result<String, BackendError> {
        let places = Places {
            qmp: "/r/100.qmp".into(),
            agent: "/r/100.qga".into(),
            console: "/g/100/console".into(),
            pid: "/g/100/pid".into(),
        };
        let disks: Vec<_> = disks
            .iter()
            .map(|(device, file)| ((*device).to_owned(), PathBuf::from(file)))
            .collect();
        let args = render(guest, Accel::Tcg, &places, &disks, 4022)?;
        let words: Vec<_> = args.iter().map(|arg| arg.to_str().unwrap()).collect();
        Ok(words.join(" "))
    }

    #[test]
    fn commas_of_names_and_serials_are_doubled() {
        let line = render_it(&guest(), &[]).unwrap();
        assert!(line.contains("-name guest=a,,b "), "{line}");
        assert!(line.contains(",serial=ds=nocloud-net;s=http://10.0.2.2:1/a,,b/"), "{line}");
    }

    #[test]
    fn only_the_first_card_forwards_ssh_and_macs_are_lower_case() {
        let mut guest = guest();
        guest.nics.push(("BC:24:11:00:00:02".into(), "e1000".into()));
        let line = render_it(&guest, &[]).unwrap();
        assert_eq!(line.matches("hostfwd=tcp:127.0.0.1:4022-:22").count(), 1);
        assert!(line.contains("virtio-net-pci,netdev=net0,mac=bc:24:11:00:00:01,romfile="));
        assert!(line.contains("user,id=net1,net=10.0.3.0/24 "), "{line}");
    }

    #[test]
    fn disks_boot_in_order_and_a_file_name_needs_no_escape() {
        let line =
            render_it(&guest(), &[("scsi0", "/v/a,b"), ("virtio1", "/v/c"), ("ide2", "/v/d")])
                .unwrap();
        assert!(line.contains(r#""filename":"/v/a,b""#), "{line}");
        assert!(
            line.contains("scsi-hd,bus=scsi.0,scsi-id=0,drive=disk-scsi0,bootindex=1"),
            "{line}"
        );
        assert!(line.contains("virtio-blk-pci,drive=disk-virtio1,bootindex=2"));
        assert!(line.contains("ide-hd,bus=ide.0,drive=disk-ide2,bootindex=3"));
    }

    #[test]
    fn without_a_kernel_the_firmware_boots() {
        let mut guest = guest();
        assert!(!render_it(&guest, &[]).unwrap().contains("-kernel"));
        guest.boot = Some(DirectKernel {
            kernel: "/k".into(),
            initrd: Some("/i".into()),
            append: "quiet x=1".into(),
        });
        let line = render_it(&guest, &[]).unwrap();
        assert!(line.ends_with("-kernel /k -initrd /i -append quiet x=1"));
    }

    #[test]
    fn an_unknown_model_or_bus_is_named() {
        let error = render_it(&guest(), &[("nvme0", "/v/a")]).unwrap_err();
        assert!(error.0.contains("nvme0"), "{error}");
        let mut guest = guest();
        guest.nics[0].1 = "ne2k".into();
        assert!(render_it(&guest, &[]).unwrap_err().0.contains("ne2k"));
    }
}
