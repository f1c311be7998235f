//! What well-known clients send, call by call, as their sources and logs show
//! it. Each is played on every release that it supports.

use crate::support::{Client, SECOND, builder, start};
use pve_sim::Version;

async fn of(version: Version) -> Client {
    let seed =
        builder().volume("local:iso/debian.iso", 64).volume("local:vztmpl/debian.tar.zst", 64);
    start(seed.version(version)).await
}

/// Terraform's provider bpg/proxmox (and Pulumi's, which is built on it): a clone of a template.
#[tokio::test]
async fn terraform_bpg_clones_configures_and_destroys() {
    for version in Version::ALL {
        let client = of(version).await;
        let config = "/nodes/pve1/qemu/500/config";
        let body = "agent=enabled%3D1,fstrim_cloned_disks%3D0,type%3Dvirtio&bios=seabios&cores=2&cpu=cputype%3Dx86-64-v2-AES&cpuunits=1024&sockets=1&numa=0\
            &memory=1024&balloon=0&keyboard=en-us&onboot=1&ostype=l26&scsihw=virtio-scsi-pci&serial0=socket&vga=type%3Dserial0&tablet=1&tags=a%3Bterraform\
            &startup=order%3D3,up%3D60,down%3D60&net0=model%3Dvirtio,bridge%3Dvmbr0,firewall%3D0,macaddr%3DBC:24:11:00:00:01,tag%3D0";
        client.play(&[
            ("GET", "/version", "", "200"),
            ("GET", "/cluster/nextid?vmid=500", "", "200"),
            ("POST", "/nodes/pve1/qemu/9000/clone", "newid=500&full=1&name=web&storage=local-lvm&target=pve1", "task OK"),
            ("POST", config, &body.replace(",tag%3D0", ""), "task OK"),
            ("PUT", config, body, "400 net0: invalid format - format error\\nnet0.tag: value must have a minimum value of 1\\n"),
            ("PUT", config, "ide2=file%3Dlocal:cloudinit,media%3Dcdrom&ciuser=debian&ipconfig0=gw%3D10.0.0.1,ip%3D10.0.0.5/24&nameserver=1.1.1.1+8.8.8.8&searchdomain=example.org&sshkeys=ssh-ed25519%2520AAAA%2520a%2540b", "200"),
            ("PUT", config, "boot=order%3Dscsi0%3Bnet0&rng0=source%3D/dev/urandom,max_bytes%3D1024&smbios1=base64%3D1,manufacturer%3DSW5ua2VlcGVy&watchdog=model%3Di6300esb,action%3Dreset", "200"),
            ("PUT", config, "delete=watchdog,rng0,tags", "200"),
            ("POST", config, "hotplug=network,disk,usb&description=by+hand%0A", "task OK"),
            ("PUT", "/nodes/pve1/qemu/500/resize", "disk=scsi0&size=8G", if version == Version::V7_4 { "200" } else { "task OK" }),
            ("POST", "/nodes/pve1/qemu/500/status/start", "", "task OK"),
            ("GET", "/nodes/pve1/qemu/500/status/current", "", "200"),
            ("POST", "/nodes/pve1/qemu/500/status/reboot", "timeout=60", "task OK"),
            ("PUT", "/nodes/pve1/qemu/500/firewall/options", "dhcp=1&enable=1&ipfilter=0&log_level_in=nolog&log_level_out=nolog&macfilter=1&ndp=0&policy_in=DROP&policy_out=ACCEPT&radv=0", "200"),
            ("POST", "/nodes/pve1/qemu/500/firewall/rules", "type=in&action=ACCEPT&enable=1&proto=tcp&dport=80:443&source=10.0.0.0/8&comment=web&log=nolog&pos=0", "200"),
            ("POST", "/nodes/pve1/qemu/500/status/shutdown", "forceStop=1&timeout=60", "task OK"),
            ("DELETE", "/nodes/pve1/qemu/500?destroy-unreferenced-disks=1&purge=1", "", "task OK"),
            ("GET", "/nodes/pve1/qemu/500/status/current", "", "500 Configuration file 'nodes/pve1/qemu-server/500.conf' does not exist"),
        ]).await;
    }
}

/// The same provider without a template: every device in its long form, with `file=`.
#[tokio::test]
async fn terraform_bpg_creates_machines_and_containers_from_nothing() {
    for version in Version::ALL {
        let client = of(version).await;
        let disks = "virtio0=file%3Dlocal-lvm:8,aio%3Dio_uring,backup%3D1,cache%3Dnone,discard%3Dignore,format%3Draw,iothread%3D1,replicate%3D1\
            &efidisk0=file%3Dlocal-lvm:1,efitype%3D4m,format%3Draw,pre-enrolled-keys%3D0&tpmstate0=file%3Dlocal-lvm:1,version%3Dv2.0&ide3=file%3Dlocal:iso/debian.iso,media%3Dcdrom";
        let body = format!(
            "vmid=500&name=db&bios=ovmf&machine=q35&{disks}&net0=model%3Dvirtio,bridge%3Dvmbr0&boot=order%3Dvirtio0%3Bide3%3Bnet0&tags=db&pool=apps"
        );
        let container = "vmid=600&hostname=ct&ostemplate=local:vztmpl/debian.tar.zst&rootfs=volume%3Dlocal-lvm:4&net0=name%3Dveth0,bridge%3Dvmbr0,ip%3Ddhcp,firewall%3D0\
            &features=nesting%3D1&unprivileged=1&cores=1&cpuunits=1024&memory=512&swap=0&console=1&cmode=tty&tty=2&start=1&password=secret-pass&nameserver=1.1.1.1&searchdomain=example.org&startup=order%3D1&tags=ct";
        client
            .play(&[
                ("POST", "/pools", "poolid=apps&comment=all", "200"),
                ("POST", "/nodes/pve1/qemu", &body, "task OK"),
                (
                    "PUT",
                    "/nodes/pve1/qemu/500/config",
                    "virtio1=file%3Dlocal-lvm:2,size%3D2G&delete=ide3",
                    "200",
                ),
                (
                    "POST",
                    "/nodes/pve1/lxc",
                    container, "task OK",
                ),
            ("GET", "/nodes/pve1/lxc/600/status/current", "", "200"),
            ("PUT", "/nodes/pve1/lxc/600/config", "mp0=volume%3Dlocal-lvm:1,mp%3D/srv,backup%3D1&description=ct", "200"),
            ("PUT", "/nodes/pve1/lxc/600/config", "net0=name%3Deth0,bridge%3Dvmbr0,ip%3D10.0.0.5", "400 net0: invalid format - format error\\nnet0.ip: invalid format - value does not look like a valid ipv4 network configuration\\n\\n"),
            ("PUT", "/nodes/pve1/lxc/600/resize", "disk=rootfs&size=8G", "task OK"),
            ("POST", "/nodes/pve1/lxc/600/status/shutdown", "forceStop=1&timeout=5", "task OK"),
            ("DELETE", "/nodes/pve1/lxc/600?purge=1&destroy-unreferenced-disks=1", "", "task OK"),
            ])
            .await;
        let config = client.config(500).await;
        assert_eq!(
            config["virtio0"],
            "local-lvm:vm-500-disk-2,aio=io_uring,backup=1,cache=none,discard=ignore,iothread=1,replicate=1,size=8G"
        );
        assert_eq!(config["virtio1"], "local-lvm:vm-500-disk-3,size=2G");
        assert_eq!(config["tpmstate0"], "local-lvm:vm-500-disk-1,size=4M,version=v2.0");
        assert!(config.get("ide3").is_none());
        let root = Client::with_password(&client.simulator, "root@pam", "secret-password").await;
        let device =
            if version == Version::V7_4 { "400 dev0: property is not defined…" } else { "200" };
        root.play(&[(
            "PUT",
            "/nodes/pve1/lxc/300/config",
            "dev0=path%3D/dev/net/tun,mode%3D0666",
            device,
        )])
        .await;
    }
}

/// Terraform's provider Telmate/proxmox, Packer's builder and proxmox-api-go below both.
#[tokio::test]
async fn packer_and_telmate_install_from_a_medium_and_make_a_template() {
    for version in Version::ALL {
        let client = of(version).await;
        let config = "/nodes/pve1/qemu/100/config";
        let body = "vmid=100&name=packer-build&agent=1&args=&boot=&cores=2&cpu=host&memory=2048&onboot=0&ostype=l26&sockets=1&scsihw=virtio-scsi-single&kvm=1\
            &ide2=local:iso/debian.iso,media%3Dcdrom&scsi0=local:8,format%3Dqcow2,cache%3Dnone,iothread%3D1&net0=virtio,bridge%3Dvmbr0,firewall%3D0&vga=type%3Dstd,memory%3D32";
        client
            .play(&[
                ("GET", "/cluster/resources?type=vm", "", "200"),
                ("GET", "/nodes/pve1/storage/local/content?content=iso", "", "200"),
                ("GET", "/nodes/pve1/storage/local/status", "", "200"),
                ("GET", "/cluster/nextid", "", "200"),
                ("POST", "/nodes/pve1/qemu", &body.replace("&args=", ""), "task OK"),
                ("POST", "/nodes/pve1/qemu/100/status/start", "", "task OK"),
                ("PUT", "/nodes/pve1/qemu/100/sendkey", "key=ret", "200"),
                ("GET", "/nodes/pve1/qemu/100/status/current", "", "200"),
                ("POST", "/nodes/pve1/qemu/100/status/shutdown", "", "task OK"),
                (
                    "PUT",
                    config,
                    "ide2=none,media%3Dcdrom&name=golden&description=made+by+packer",
                    "200",
                ),
                ("PUT", config, "delete=ide2", "200"),
                ("POST", "/nodes/pve1/qemu/100/template", "", "task OK"),
                ("GET", config, "", "200"),
                (
                    "POST",
                    "/nodes/pve1/qemu/100/clone",
                    "newid=101&name=app&full=1&storage=local-lvm&pool=none&target=pve1",
                    "403 Permission check failed (pool 'none' does not exist)",
                ),
                ("POST", "/nodes/pve1/qemu/100/clone", "newid=101&name=app&full=0", "task OK"),
                (
                    "PUT",
                    "/nodes/pve1/qemu/101/resize",
                    "disk=scsi0&size=%2B2G",
                    if version == Version::V7_4 { "200" } else { "task OK" },
                ),
                (
                    "POST",
                    "/nodes/pve1/qemu/101/move_disk",
                    "disk=scsi0&storage=local-lvm&delete=1",
                    "task OK",
                ),
                ("GET", "/nodes/pve1/qemu/101/pending", "", "200"),
                ("GET", "/nodes/pve1/qemu/101/snapshot", "", "200"),
                ("POST", "/nodes/pve1/qemu/101/status/stop", "", "task OK"),
                (
                    "DELETE",
                    "/nodes/pve1/qemu/101?purge=1&destroy-unreferenced-disks=1",
                    "",
                    "task OK",
                ),
                ("DELETE", "/nodes/pve1/qemu/100", "", "task OK"),
            ])
            .await;
    }
}

/// Cluster API's provider for Proxmox, over go-proxmox.
#[tokio::test]
async fn cluster_api_boots_a_clone_from_a_medium_of_its_own() {
    for version in Version::ALL {
        let client = of(version).await;
        let config = "/nodes/pve1/qemu/101/config";
        client.play(&[
            ("GET", "/cluster/status", "", "200"),
            ("GET", "/nodes/pve1/status", "", "200"),
            ("GET", "/nodes/pve1/qemu", "", "200"),
            ("GET", "/cluster/nextid", "", "200"),
            ("POST", "/nodes/pve1/qemu/9000/clone", "newid=101&description=node&full=1&name=worker-1&storage=local-lvm&target=pve1&format=raw", "task OK"),
            ("POST", config, "sockets=2&cores=2&memory=4096&net0=virtio,bridge%3Dvmbr0&net1=virtio,bridge%3Dvmbr0,mtu%3D1500&tags=ip_net0_10.0.0.5%3Bgo-proxmox%2Bcloud-init", "task OK"),
            ("PUT", "/nodes/pve1/qemu/101/resize", "disk=scsi0&size=10G", if version == Version::V7_4 { "200" } else { "task OK" }),
            ("POST", config, "ide0=local:iso/debian.iso,media%3Dcdrom", "task OK"),
            ("POST", "/nodes/pve1/qemu/101/status/start", "", "task OK"),
        ]).await;
        client.simulator.advance(10 * SECOND).await;
        client
            .play(&[
                ("GET", "/nodes/pve1/qemu/101/agent/get-osinfo", "", "200"),
                (
                    "POST",
                    "/nodes/pve1/qemu/101/agent/exec",
                    "command=cloud-init&command=status",
                    "200",
                ),
                ("POST", config, "ide0=none,media%3Dcdrom", "task OK"),
                ("DELETE", "/nodes/pve1/storage/local/content/iso/debian.iso", "", "task OK"),
                (
                    "POST",
                    "/nodes/pve1/qemu/101/status/stop",
                    "overrule-shutdown=1",
                    if version == Version::V7_4 { "400 overrule-shutdown: …" } else { "task OK" },
                ),
                ("POST", "/nodes/pve1/qemu/101/status/stop", "", "task OK"),
                (
                    "DELETE",
                    "/nodes/pve1/qemu/101?purge=1&destroy-unreferenced-disks=1",
                    "",
                    "task OK",
                ),
            ])
            .await;
    }
}

/// fog-proxmox, as its own recordings show it.
#[tokio::test]
async fn fog_walks_through_machines_disks_and_identities() {
    for version in Version::ALL {
        let client = of(version).await;
        let config = "/nodes/pve1/qemu/100/config";
        client.play(&[
            ("GET", "/nodes", "", "200"),
            ("GET", "/cluster/nextid?vmid=99", "", "400 vmid: invalid format - value does not look like a valid VM ID\\n"),
            ("POST", "//nodes/pve1/qemu", "vmid=100", "task OK"),
            ("POST", config, "description=server&ide2=none,media%3Dcdrom", "task OK"),
            ("POST", config, "scsi0=local:1,backup%3D0,replicate%3D0&scsi1=local:2,cache%3Dnone", "task OK"),
            ("POST", config, "net0=virtio,bridge%3Dvmbr0&net1=e1000,bridge%3Dvmbr0,link_down%3D1", "task OK"),
            ("POST", config, "delete=scsi1", "task OK"),
            ("POST", config, "delete=unused0", "task OK"),
            ("POST", "/nodes/pve1/qemu/100/status/start", "", "task OK"),
            ("POST", "/nodes/pve1/qemu/100/status/suspend", "", "task OK"),
            ("POST", "/nodes/pve1/qemu/100/status/resume", "", "task OK"),
            ("POST", "/nodes/pve1/qemu/100/status/hibernate", "", "501 …"),
            ("POST", "/nodes/pve1/qemu/100/status/stop", "", "task OK"),
            ("POST", "/access/groups", "groupid=group1", "200"),
            ("POST", "/access/users", "userid=bobsinclar@pve&password=bobsinclar1&firstname=Bob&lastname=Sinclar&email=bobsinclar@proxmox.com&groups=group1", "200"),
            ("PUT", "/access/users/bobsinclar@pve", "comment=novelist&enable=0&groups=", "200"),
            ("POST", "/access/users/bobsinclar@pve/token/id1", "privsep=1", "200"),
            ("POST", "/access/domains", "realm=LDAP&type=ldap&base_dn=ou%3DPeople,dc%3Dldap-test,dc%3Dcom&user_attr=LDAP&server1=localhost&port=389&default=0&secure=0", "200"),
            ("POST", "/access/roles", "roleid=TestAuditor&privs=Datastore.Audit", "200"),
            ("POST", "/pools", "poolid=pool1", "200"),
            ("PUT", "/pools/pool1", "comment=p1&vms=100", "200"),
            ("DELETE", "/pools/pool1", "", "500 delete pool failed: pool 'pool1' is not empty (contains VM 100)"),
            ("PUT", "/access/acl", "path=/pool/pool1&roles=PVEAdmin&users=bobsinclar@pve&propagate=1", "200"),
            ("DELETE", "/nodes/pve1/qemu/100?purge=1", "", "task OK"),
            ("DELETE", "/access/domains/LDAP", "", "200"),
            ("DELETE", "/access/users/bobsinclar@pve", "", "200"),
        ]).await;
    }
}
