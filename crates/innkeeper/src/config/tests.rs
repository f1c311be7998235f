#![allow(clippy::unwrap_used)]
use std::path::PathBuf;

use super::*;

fn read(text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("innkeeper.toml");
    std::fs::write(&path, text).unwrap();
    Config::read(&path)
}

pub(super) const GOOD: &str = r#"
    state = "/var/lib/innkeeper"
    [metadata]
    listen = "0.0.0.0:8008"
    url = "http://192.0.2.1:8008/"
    [[provider]]
    kind = "proxmox"
    name = "lab"
    endpoints = ["https://pve1.example.org:8006"]
    token_id = "innkeeper@pve!main"
    token_secret_file = "/etc/innkeeper/lab.secret"
    vmid_range = [5000, 5999]
"#;

#[test]
fn a_provider_is_read_with_its_access_and_its_settings() {
    let config = read(GOOD).unwrap();
    let ProviderConfig::Proxmox(lab) = &config.providers[0];
    assert_eq!(lab.settings.vmid_range, [5000, 5999]);
    assert_eq!(lab.access.token_id, "innkeeper@pve!main");
    assert_eq!(config.native.listen.port(), 8007);
}

#[test]
fn an_unknown_key_is_named() {
    for (from, to, named) in [
        ("vmid_range", "vmid_rage", "vmid_rage"),
        ("state =", "sate = 1\nstate =", "sate"),
        ("listen =", "lisen = 1\nlisten =", "lisen"),
    ] {
        let error = read(&GOOD.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn an_unknown_key_is_answered_with_the_nearest_known_one() {
    for (from, to, nearest) in [
        ("vmid_range", "vmid_rage", "vmid_range"),
        ("endpoints", "endpoint", "endpoints"),
        ("[metadata]", "[metdata]", "metadata"),
        ("token_secret_file", "token_file_secret", "token_secret_file"),
    ] {
        let error = read(&GOOD.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.ends_with(&format!("did you mean `{nearest}`?")), "{error}");
    }
    let error = read(&GOOD.replacen("state =", "quartz = 1\nstate =", 1)).unwrap_err().to_string();
    assert!(error.contains("`quartz`") && !error.contains("did you mean"), "{error}");
}

/// The configuration with these variables over the file.
fn with(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("innkeeper.toml");
    std::fs::write(&path, text).unwrap();
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Ok(Config::read_with(&path, variables.iter().map(owned).collect())?.0)
}

#[test]
fn the_environment_wins_over_the_file() {
    let variables = [
        ("INNKEEPER__STATE", "/srv/house"),
        ("INNKEEPER__NATIVE__LISTEN", "127.0.0.1:9000"),
        ("INNKEEPER__STORE__READERS", "3"),
        ("INNKEEPER__PROVIDER__LAB__ENDPOINTS", "[\"https://a:8006\", \"https://b:8006\"]"),
    ];
    let config = with(GOOD, &variables).unwrap();
    assert_eq!(config.state, PathBuf::from("/srv/house"));
    assert_eq!(config.native.listen.port(), 9000);
    assert_eq!(config.store.readers, Some(3));
    let ProviderConfig::Proxmox(lab) = &config.providers[0];
    assert_eq!(lab.access.endpoints, ["https://a:8006", "https://b:8006"]);
}

#[test]
fn a_variable_that_means_nothing_is_refused_by_its_name() {
    for (name, value, expected) in [
        ("INNKEEPER__STORE__READER", "3", "did you mean `readers`?"),
        ("INNKEEPER__PROVIDER__LABB__POOL", "x", "expected the name of a [[provider]]"),
        ("INNKEEPER__A__B__C__D", "x", "expected INNKEEPER__KEY"),
        ("INNKEEPER__STATE__X", "x", "expected state to be a table"),
        ("INNKEEPER__PROVIDER__LAB__ENDPOINTS", "[oops", "expected a value as TOML writes it"),
        ("INNKEEPER__STORE__READERS", "many", "INNKEEPER__STORE__READERS"),
    ] {
        let error = with(GOOD, &[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(expected), "{error}");
    }
}

#[test]
fn a_secret_has_one_place() {
    let error =
        read(&GOOD.replacen("token_secret_file", "token_secret_env = 'A'\ntoken_secret_file", 1));
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("provider[0].token_secret_file: expected one of"), "{error}");
    let env = GOOD.replacen("token_secret_file", "token_secret_credential", 1);
    let error = read(&env).unwrap_err().to_string();
    assert!(error.contains("the name of a systemd credential"), "{error}");
}

#[test]
fn a_bad_value_names_its_key_and_what_was_expected() {
    let error = read(&GOOD.replace("8008/", "8008")).unwrap_err().to_string();
    assert!(error.starts_with("metadata.url: expected http://"), "{error}");
    let never = GOOD.replacen("[metadata]", "[expiry]\nwarn_before_h = 0\n[metadata]", 1);
    let error = read(&never).unwrap_err().to_string();
    assert!(error.starts_with("expiry.warn_before_h: expected 1 to 8760"), "{error}");
    for (store, expected) in [
        ("postgres = \"mysql://db/house\"", "store.postgres: expected postgres://"),
        ("postgres = \"postgres://a:hunter2@db/house\"", "store.postgres: expected no password"),
        ("postgres = \"postgres://a@db/house\"", "store.key_file: expected a file"),
        ("readers = 0", "store.readers: expected 1 to 100"),
    ] {
        let text = GOOD.replacen("[metadata]", &format!("[store]\n{store}\n[metadata]"), 1);
        let error = read(&text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let error = read(&GOOD.replace("[5000, 5999]", "[1, 2]")).unwrap_err().to_string();
    assert!(error.starts_with("provider[0].vmid_range: expected"), "{error}");
}
