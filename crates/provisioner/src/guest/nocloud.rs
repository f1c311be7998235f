//! Cloud-init's NoCloud documents.

use model::InstanceId;
use serde::{Deserialize, Serialize};

use super::iso::{IsoFile, render_iso};

/// The documents of one seed. They may hold secrets: sealed at rest, never
/// logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeedDocuments {
    /// What the user wants done.
    pub user_data: String,
    /// Who the guest is.
    pub meta_data: String,
    /// What the house wants done.
    pub vendor_data: String,
    /// How its network is configured; `None` leaves it to the guest.
    pub network_config: Option<String>,
}

impl std::fmt::Debug for SeedDocuments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SeedDocuments(..)")
    }
}

/// What a seed is rendered from.
#[derive(Clone, Copy, Debug)]
pub struct SeedRequest<'a> {
    /// The instance; cloud-init runs once per instance.
    pub instance: InstanceId,
    /// Its name, which becomes the host name.
    pub name: &'a str,
    /// The user's own document, passed on unchanged.
    pub user_data: Option<&'a str>,
    /// The user's own configuration of the network, passed on unchanged.
    pub network_config: Option<&'a str>,
    /// More of the meta-data: lines of YAML, added to ours.
    pub meta_data: Option<&'a str>,
    /// Keys that may log in.
    pub ssh_authorized_keys: &'a [String],
}

/// Renders the documents.
pub fn render_nocloud(request: &SeedRequest<'_>) -> SeedDocuments {
    let mut meta_data = format!(
        "instance-id: {}\nlocal-hostname: {}\n",
        quoted(&request.instance.to_string()),
        quoted(request.name)
    );
    let keys = |indent: &str| -> String {
        request
            .ssh_authorized_keys
            .iter()
            .map(|key| format!("{indent}- {}\n", quoted(key)))
            .collect()
    };
    if !request.ssh_authorized_keys.is_empty() {
        meta_data.push_str("public-keys:\n");
        meta_data.push_str(&keys("  "));
    }
    meta_data.push_str(request.meta_data.unwrap_or_default());
    let user_data = match request.user_data {
        Some(text) => text.to_owned(),
        None if request.ssh_authorized_keys.is_empty() => "#cloud-config\n{}\n".to_owned(),
        None => format!("#cloud-config\nssh_authorized_keys:\n{}", keys("  ")),
    };
    let network_config = request.network_config.map(str::to_owned);
    SeedDocuments { user_data, meta_data, vendor_data: String::new(), network_config }
}

/// The documents as cloud-init finds them on a medium: files of an ISO image
/// with the label `cidata`. `None` when the image would be too large.
pub fn render_medium(documents: &SeedDocuments) -> Option<Vec<u8>> {
    let file = |name, short, content| IsoFile { name, short, content };
    let mut files = vec![
        file("meta-data", "METADATA", documents.meta_data.as_bytes()),
        file("user-data", "USERDATA", documents.user_data.as_bytes()),
        file("vendor-data", "VENDORDA", documents.vendor_data.as_bytes()),
    ];
    if let Some(network) = &documents.network_config {
        files.push(file("network-config", "NETWORKC", network.as_bytes()));
    }
    render_iso("cidata", &files)
}

/// A text as a JSON string, which every YAML reader of any version takes as a
/// string. What YAML does not print (1.2, section 5.1) and JSON does is escaped.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for c in serde_json::Value::from(text).to_string().chars() {
        match c {
            '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use model::random::SeededRandom;
    use model::time::ManualClock;

    use super::*;

    fn instance() -> InstanceId {
        InstanceId::generate(&ManualClock::default(), &SeededRandom::new(3))
    }

    #[test]
    fn the_users_document_is_passed_on_unchanged() {
        let text = "#!/bin/sh\necho 'a: b'\n";
        let keys = vec!["ssh-ed25519 AAAA me".to_owned()];
        let request = SeedRequest {
            instance: instance(),
            name: "web-1",
            user_data: Some(text),
            network_config: Some("version: 2\n"),
            meta_data: None,
            ssh_authorized_keys: &keys,
        };
        let documents = render_nocloud(&request);
        assert_eq!(documents.user_data, text);
        assert_eq!(documents.network_config.as_deref(), Some("version: 2\n"));
        assert!(documents.meta_data.contains("local-hostname: \"web-1\"\n"));
        assert!(documents.meta_data.ends_with("public-keys:\n  - \"ssh-ed25519 AAAA me\"\n"));
    }

    #[test]
    fn keys_alone_make_a_cloud_config() {
        let keys = vec!["ssh-ed25519 AAAA \"me\"".to_owned()];
        let request = SeedRequest {
            instance: instance(),
            name: "web-1",
            user_data: None,
            network_config: None,
            meta_data: None,
            ssh_authorized_keys: &keys,
        };
        assert_eq!(
            render_nocloud(&request).user_data,
            "#cloud-config\nssh_authorized_keys:\n  - \"ssh-ed25519 AAAA \\\"me\\\"\"\n"
        );
    }
}
