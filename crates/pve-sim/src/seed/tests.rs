#![allow(clippy::unwrap_used)]
use std::time::Duration;

use super::Seed;
use crate::schema::Version;
use crate::world::World;

const EXAMPLE: &str = r#"
version = "9.2"
cluster = "lab"
root_password = "secret-password"
pools = ["web"]

[[node]]
name = "pve1"

[[node]]
name = "pve2"
cpus = 4
bridges = ["vmbr0", "vmbr1"]

[[storage]]
name = "nas"
type = "nfs"

[[template]]
vmid = 9000
name = "debian"
storage = "nas"
disk_mib = 1500
cloudinit = true
agent = true
bridge = "vmbr0"

[[guest]]
vmid = 100
node = "pve2"
pool = "web"

[[user]]
id = "bob@pve"

[[token]]
id = "bob@pve!t"
secret = "s"

[[acl]]
path = "/vms"
subject = "bob@pve"
role = "PVEVMUser"
"#;

fn plant(text: &str) -> Result<(World, Vec<(String, u64)>), String> {
    let seed = Seed::from_toml(text)
        .map_err(|error| std::error::Error::source(&error).unwrap().to_string())?;
    let mut world = World::new(seed.version, Duration::from_secs(1_000_000), 1);
    let volumes = seed.plant(&mut world).map_err(|error| error.to_string())?;
    Ok((world, volumes))
}

#[test]
fn a_seed_file_describes_a_cluster() {
    let (world, volumes) = plant(EXAMPLE).unwrap();
    assert_eq!(world.version, Version::V9_2);
    assert_eq!(world.nodes["pve2"].bridges.len(), 2);
    assert_eq!(world.guests[&9000].config["scsi0"], "nas:9000/base-9000-disk-0.qcow2,size=1500M");
    assert_eq!(world.guests[&100].pool.as_deref(), Some("web"));
    assert_eq!(volumes.len(), 2);
}

#[test]
fn mistakes_in_a_seed_file_are_named() {
    for (text, expected) in [
        ("[[node]]\nname = \"a\"\ncolour = 1", "unknown field `colour`"),
        ("[[node]]\nname = \"a\"\n[[node]]\nname = \"a\"", "node: the name 'a' is given twice"),
        ("[[guest]]\nvmid = 5", "guest: vmid: expected 100 to 999999999, got 5"),
        ("[[guest]]\nvmid = 100\nnode = \"x\"", "node: there is no node 'x'"),
        ("[[guest]]\nvmid = 100\nstorage = \"x\"", "guest 100: storage 'x' does not exist"),
        (
            "[[token]]\nid = \"bob\"\nsecret = \"s\"",
            "token: id: expected 'user@realm!name', got 'bob'",
        ),
        ("[role]\nr = [\"VM.Fly\"]", "role 'r': this release has no privilege 'VM.Fly'"),
    ] {
        let error = plant(text).err().unwrap();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn the_documented_example_makes_a_cluster() {
    let (world, _) = plant(include_str!("../../../../docs/reference/pve-sim.toml")).unwrap();
    assert_eq!(world.version, Version::V9_2);
    assert_eq!(world.nodes.len(), 2);
    assert!(world.guests[&9000].is_template());
    assert!(world.guests[&100].process.is_some());
    let container = &world.guests[&200];
    assert_eq!(container.config["rootfs"], "local:200/vm-200-disk-0.raw,size=2G");
    assert!(container.config["net0"].starts_with("name=eth0,bridge=vmbr1,hwaddr="));
    let alice = crate::world::access::Caller { user: "alice@pve".into(), token: None };
    assert!(world.may(&alice, "/vms/100", "VM.PowerMgmt"));
    assert!(world.may(&alice, "/nodes/pve1", "Sys.Audit"));
    assert!(!world.may(&alice, "/vms/9000", "VM.PowerMgmt"));
}

#[test]
fn mistakes_in_users_groups_and_rights_are_named() {
    for (text, reason) in [
        (
            "[[user]]\nid = \"a@pve\"\ngroups = [\"g\"]\n",
            "user 'a@pve': groups: there is no group 'g'",
        ),
        ("[[user]]\nid = \"a\"\n", "user: id: expected 'name@realm', got 'a'"),
        (
            "[[acl]]\npath = \"/\"\nsubject = \"@g\"\nrole = \"PVEAdmin\"\n",
            "acl '/': subject: there is no user, token or (with a leading @) group '@g'",
        ),
    ] {
        assert_eq!(plant(text).err().unwrap(), reason);
    }
    let unknown = plant("[[user]]\nid = \"a@pve\"\nshoe = 1\n").err().unwrap();
    assert!(unknown.contains("unknown field `shoe`"), "{unknown}");
}
