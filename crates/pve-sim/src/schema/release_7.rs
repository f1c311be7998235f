//! Release 7.4 as its differences from 8.4: what came later is taken out of
//! the table of 8.4.
//!
//! Source: the schemas of 7.4, 8.4 and 9.2 compared, as far as methods, their
//! parameters and the keys of property strings go. Where the schema of 7.4 was
//! not compared (privileges, limits of values), 8.4 stands in for it.

use super::{Format, Parameter, Raw};

/// Paths, with all below them, that came after 7.4.
const LATER_PATHS: &[&str] = &["/cluster/mapping", "/cluster/notifications"];

/// Methods that came after 7.4.
const LATER_METHODS: &[(&str, &str)] =
    &[("GET", "/nodes/{node}/lxc/{vmid}/interfaces"), ("PUT", "/pools"), ("DELETE", "/pools")];

/// Parameters that came after 7.4: where (a path, or its beginning before `*`), and which.
const LATER_PARAMETERS: &[(&str, &[&str])] = &[
    ("/nodes/{node}/qemu", OF_VMS),
    ("/nodes/{node}/qemu/{vmid}/config", OF_VMS),
    ("/nodes/{node}/qemu/{vmid}/status/start", &["nets-host-mtu", "with-conntrack-state"]),
    ("/nodes/{node}/qemu/{vmid}/status/stop", &["overrule-shutdown"]),
    ("/nodes/{node}/qemu/{vmid}/migrate", &["with-conntrack-state"]),
    ("/nodes/{node}/lxc", OF_CONTAINERS),
    ("/nodes/{node}/lxc/{vmid}/config", OF_CONTAINERS),
    ("/nodes/{node}/lxc/{vmid}/status/stop", &["overrule-shutdown"]),
    ("/nodes/{node}/storage/{storage}/download-url", &["compression"]),
    (
        "/nodes/{node}/vzdump",
        &["fleecing", "job-id", "notification-mode", "pbs-change-detection-mode"],
    ),
    ("/nodes/{node}/network", &["bridge_vids", "regenerate-frr"]),
    ("/nodes/{node}/network/{iface}", &["bridge_vids"]),
    ("/access/password", &["confirmation-password"]),
    ("/access/users/{userid}/token/{tokenid}", &["delete", "regenerate"]),
    (
        "/access/domains",
        &[
            "audiences",
            "check-connection",
            "groups-autocreate",
            "groups-claim",
            "groups-overwrite",
            "query-userinfo",
        ],
    ),
    ("/pools", &["poolid of GET", "type"]),
    ("/pools/{poolid}", &["allow-move"]),
];

const OF_VMS: &[&str] = &["amd-sev", "ciupgrade", "import-working-storage", "virtiofs[n]"];
const OF_CONTAINERS: &[&str] = &["dev[n]", "entrypoint", "env", "ha-managed"];

/// Keys of property strings of virtual machines that came after 7.4.
const LATER_KEYS: &[(&str, &[&str])] =
    &[("scsi[n]", &["product", "vendor"]), ("usb[n]", &["mapping"]), ("vga", &["clipboard"])];

/// Options that were plain values: the key of 8.4's property string that has their rules.
const PLAIN: &[(&str, &str)] = &[("machine", "type"), ("memory", "current")];

/// Makes the table of 7.4 out of that of 8.4.
pub(super) fn reduce(raw: &mut Raw) {
    raw.methods.retain(|method| {
        let below = |path: &&str| {
            let rest = method.path.strip_prefix(*path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        !LATER_PATHS.iter().any(below)
            && !LATER_METHODS.contains(&(method.method.as_str(), method.path.as_str()))
    });
    let Raw { definitions, methods, .. } = raw;
    for method in methods {
        for (path, names) in LATER_PARAMETERS {
            if *path == method.path {
                method.parameters.retain(|name, _| {
                    let later = names.contains(&name.as_str());
                    let in_get = method.method == "GET" && names.contains(&"poolid of GET");
                    !(later || (in_get && name == "poolid"))
                });
            }
        }
        if method.path.starts_with("/nodes/{node}/qemu") {
            for (name, index) in &mut method.parameters {
                if let Some(older) = older(name, &definitions[*index]) {
                    *index = definitions.len();
                    definitions.push(older);
                }
            }
        }
    }
}

/// The definition of an option as it was in 7.4, when it was another.
fn older(name: &str, definition: &Parameter) -> Option<Parameter> {
    let Some(Format::Keys(keys)) = &definition.format else { return None };
    if let Some((_, key)) = PLAIN.iter().find(|(option, _)| *option == name) {
        let mut plain = keys.get(*key)?.clone();
        plain.optional = definition.optional;
        plain.default_key = None;
        return Some(plain);
    }
    let (_, later) = LATER_KEYS.iter().find(|(option, _)| *option == name)?;
    let mut older = definition.clone();
    if let Some(Format::Keys(keys)) = &mut older.format {
        keys.retain(|key, _| !later.contains(&key.as_str()));
    }
    Some(older)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{Table, Version, check};

    #[test]
    fn what_came_later_is_not_in_7_4() {
        let table = Table::of(Version::V7_4);
        assert!(table.method("PUT", "/pools").is_none());
        assert!(table.method("GET", "/cluster/mapping/pci").is_none());
        let create = table.method("POST", "/nodes/{node}/qemu").unwrap();
        assert!(create.parameter("ciupgrade").is_none());
        assert!(create.parameter("scsi0").is_some());
        let pools = table.method("GET", "/pools").unwrap();
        assert!(pools.parameter("poolid").is_none());
        assert!(table.method("POST", "/pools").unwrap().parameter("poolid").is_some());
        for (option, good, bad) in [
            ("memory", "512", "current=512"),
            ("machine", "q35", "type=q35"),
            ("scsi0", "local:1", "local:1,vendor=x"),
            ("usb0", "host=spice", "mapping=x"),
        ] {
            let parameter = create.parameter(option).unwrap();
            assert_eq!(check::one(parameter, option, good), Ok(()), "{option}");
            assert!(check::one(parameter, option, bad).is_err(), "{option}");
        }
        let newer = Table::of(Version::V8_4).method("POST", "/nodes/{node}/qemu").unwrap();
        assert!(check::one(newer.parameter("memory").unwrap(), "memory", "current=512").is_ok());
    }
}
