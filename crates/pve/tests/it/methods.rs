//! Every method of the tables, over the wire.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use pve::methods::{self, ApiMethod, Fault, Parameter};
use pve::property::KeyKind;
use pve::{Client, Error, Method, Params, Release};

use crate::server::{Server, data, soon};

const RELEASES: [Release; 2] = [Release::V8_4, Release::V9_2];

/// Values that parameters accept, with characters that need encoding where it
/// may be anything. Making one from a pattern takes its time.
#[derive(Default)]
struct Samples(BTreeMap<String, String>);

impl Samples {
    fn of(&mut self, parameter: &Parameter) -> String {
        let KeyKind::Text { pattern: Some(pattern), max_length, .. } = parameter.kind() else {
            return sample(parameter);
        };
        let limit = max_length.unwrap_or(1000);
        let made = self.0.entry(format!("{limit} {pattern}")).or_insert_with(|| {
            let strategy = proptest::string::string_regex(pattern).unwrap();
            let texts = strategy.prop_filter("not too long", move |text| text.len() <= limit);
            texts.new_tree(&mut TestRunner::deterministic()).unwrap().current()
        });
        made.clone()
    }
}

fn sample(parameter: &Parameter) -> String {
    match parameter.kind() {
        KeyKind::Boolean => "1".to_owned(),
        KeyKind::Integer { minimum, .. } => minimum.unwrap_or(7).to_string(),
        KeyKind::Number { minimum, .. } => minimum.unwrap_or(0.5).to_string(),
        KeyKind::Enum(words) => words[0].clone(),
        KeyKind::Text { format: Some(format), .. } => match format.as_str() {
            "mac-addr" => "BC:24:11:00:00:01".to_owned(),
            "ipv4" => "10.0.0.1".to_owned(),
            "ipv6" => "fd00::1".to_owned(),
            "CIDR" | "pve-ipv4-config" => "10.0.0.1/24".to_owned(),
            "pve-ipv6-config" => "fd00::1/64".to_owned(),
            "disk-size" => "4G".to_owned(),
            "pve-configid" | "pve-storage-id" => "local".to_owned(),
            "urlencoded" => "a%20b".to_owned(),
            _ => "local:iso/a.iso".to_owned(),
        },
        KeyKind::Text { max_length, .. } => {
            "a b+c=d;e&ü".chars().take(max_length.unwrap_or(20)).collect()
        }
        _ => "x".to_owned(),
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().unwrap().into_owned()
}

fn pairs(form: &str) -> Vec<(String, String)> {
    let parts = form.split('&').filter(|part| !part.is_empty());
    parts.map(|part| part.split_once('=').unwrap()).map(|(k, v)| (decoded(k), decoded(v))).collect()
}

async fn call_once(
    server: &Server,
    client: &Client,
    method: &ApiMethod,
    release: Release,
    samples: &mut Samples,
) {
    let what = format!("{} {} of {release}", method.verb(), method.path());
    let signature = method.signature(release).unwrap();
    let values: Vec<(String, String)> =
        method.placeholders().map(|name| (name.to_owned(), format!("{name}:/ä@!"))).collect();
    let in_path = |name: &str| values.iter().any(|(known, _)| known == name);
    let mut params = Params::new();
    let mut expected = Vec::new();
    for parameter in signature.parameters().iter().filter(|row| !in_path(row.name())) {
        let name = parameter.name().replace("[n]", "0");
        let value = samples.of(parameter);
        params.push(name.clone(), value.clone());
        expected.push((name, value));
    }
    assert_eq!(method.check(release, &params), [], "{what}");
    soon(client.call_checked(release, method, values.clone(), params)).await.unwrap();
    let request = server.last_request();
    assert_eq!(request.method, method.verb().as_str(), "{what}");
    let (path, query) = match request.target.split_once('?') {
        Some((path, query)) => (path, query.to_owned()),
        None => (request.target.as_str(), String::new()),
    };
    let values: BTreeMap<String, String> = values.into_iter().collect();
    let segments: Vec<String> = path.split('/').skip(3).map(decoded).collect();
    let wanted: Vec<String> = method
        .path()
        .split('/')
        .skip(1)
        .map(|segment| match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => values[name].clone(),
            None => segment.to_owned(),
        })
        .collect();
    assert_eq!(segments, wanted, "{what}");
    let in_query = matches!(*method.verb(), Method::GET | Method::DELETE);
    let (sent, empty) = match in_query {
        true => (query, request.text()),
        false => (request.text(), query),
    };
    assert_eq!((pairs(&sent), empty.as_str()), (expected, ""), "{what}");
}

#[tokio::test]
async fn every_method_of_both_releases_can_be_called_with_all_its_parameters() {
    let server = Server::start(|_| data("null")).await;
    let client = server.client();
    let mut samples = Samples::default();
    for (release, count) in RELEASES.into_iter().zip([606, 661]) {
        let mut called = 0;
        for method in methods::of_release(release) {
            call_once(&server, &client, method, release, &mut samples).await;
            called += 1;
        }
        assert_eq!(called, count, "{release}");
    }
}

#[test]
fn wrong_parameters_are_named_with_what_was_expected() {
    let create = methods::find(Method::POST, "/nodes/{node}/qemu").unwrap();
    let check = |params: Params| -> Vec<String> {
        let faults = create.check(Release::V9_2, &params);
        faults.iter().map(ToString::to_string).collect()
    };
    let good = || Params::new().set("vmid", 100);
    assert_eq!(check(good().set("net31", "virtio").set("scsi30", "local:1")), [""; 0]);
    assert_eq!(check(Params::new()), ["'vmid' is missing"]);
    assert_eq!(
        check(good().set("memroy", 1)),
        ["'memroy' is not a parameter, did you mean 'memory'?"]
    );
    assert_eq!(check(good().set("ide4", "none")), ["'ide4': the numbers end at 3"]);
    assert_eq!(check(good().set("cores", 0)), ["'cores': '0' is not a whole number of at least 1"]);
    assert_eq!(check(good().set("acpi", "perhaps")), ["'acpi': 'perhaps' is not 1 or 0"]);
    assert_eq!(check(good().set("bios", "efi")), ["'bios': 'efi' is not one of seabios, ovmf"]);
    // Secrets are not looked at, nor printed.
    assert_eq!(check(good().set("cipassword", "x")), [""; 0]);
}

#[test]
fn each_release_has_its_methods_and_parameters() {
    let rules = methods::find(Method::GET, "/cluster/ha/rules").unwrap();
    assert!(matches!(rules.check(Release::V8_4, &Params::new())[..], [Fault::NoMethod { .. }]));
    assert_eq!(rules.check(Release::V9_2, &Params::new()), []);
    let create = methods::find(Method::POST, "/nodes/{node}/lxc").unwrap();
    let params = Params::new().set("vmid", 100).set("ostemplate", "x").set("ha-managed", true);
    assert_eq!(create.check(Release::V8_4, &params).len(), 1);
    assert_eq!(create.check(Release::V9_2, &params), []);
    let ticket = methods::find(Method::POST, "/access/ticket").unwrap();
    assert!(!ticket.signature(Release::V8_4).unwrap().allows_tokens());
    let config = methods::find(Method::GET, "/nodes/{node}/qemu/{vmid}/config").unwrap();
    let signature = config.signature(Release::V9_2).unwrap();
    assert_eq!(signature.permissions(), Some("perm /vms/{vmid} VM.Audit"));
    assert_eq!(signature.returns(), "object");
}

#[test]
fn paths_find_their_methods() {
    let path = |verb: Method, path: &str| methods::of_path(&verb, path).map(ApiMethod::path);
    assert_eq!(
        path(Method::GET, "/nodes/pve1/qemu/100/status/current"),
        Some("/nodes/{node}/qemu/{vmid}/status/current")
    );
    assert_eq!(
        path(Method::GET, "nodes/pve1/storage/local/content/local:iso/a.iso"),
        Some("/nodes/{node}/storage/{storage}/content/{volume}")
    );
    assert_eq!(path(Method::GET, "/nodes/pve1/nothing"), None);
    assert_eq!(path(Method::PUT, "/version"), None);
}

#[tokio::test]
async fn what_does_not_fit_the_path_is_not_sent() {
    let server = Server::start(|_| data("null")).await;
    let client = server.client();
    let config = methods::find(Method::GET, "/nodes/{node}/qemu/{vmid}/config").unwrap();
    for (result, text) in [
        (soon(client.call(config, [("node", "a")], ())).await, "the path needs a value for 'vmid'"),
        (
            soon(client.call(config, [("node", "a"), ("vmid", "1"), ("x", "y")], ())).await,
            "the path has no place for 'x'",
        ),
        (
            soon(client.call_checked(
                Release::V9_2,
                config,
                [("node", "a"), ("vmid", "1")],
                Params::new().set("curent", true),
            ))
            .await,
            "'curent' is not a parameter, did you mean 'current'?",
        ),
    ] {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::InvalidRequest { .. }), "{error:?}");
        assert!(error.to_string().ends_with(text), "{error}");
    }
    assert!(server.requests().is_empty());
}
