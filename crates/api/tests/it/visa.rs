//! The VISA door over a running house.

use std::sync::Arc;
use std::time::Duration;

use api::visa::{Access, Settings, router};
use model::{ByteCount, Role};
use provisioner::NewFlavour;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::{Doors, Reply, raw};

const TOKEN: &str = "visa-token";

struct Visa {
    doors: Doors,
    address: std::net::SocketAddr,
    flavour: String,
    shutdown: CancellationToken,
}

impl Drop for Visa {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Visa {
    async fn open() -> Self {
        let doors = Doors::open().await;
        let flavour = NewFlavour {
            name: "small".to_owned(),
            cores: 2,
            memory: ByteCount::gib(4),
            disk: Some(ByteCount::gib(10)),
            devices: Vec::new(),
        };
        let admin = doors.test.caller("admin", "visa", Role::Admin);
        let flavour = doors.test.house.create_flavour(&admin, flavour).await.unwrap();
        let access = Access::Token(SecretString::from(TOKEN.to_owned()));
        let mut settings = Settings::new(access, "visa".parse().unwrap());
        settings.project_id = Some("bench".to_owned());
        settings.delete_grace = Duration::from_secs(1);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let router = router(Arc::clone(&doors.test.house), settings);
        tokio::spawn(api::serve(listener, router, Default::default(), shutdown.clone()));
        Self { doors, address, flavour: flavour.id.to_string(), shutdown }
    }

    async fn call(&self, method: &str, path: &str, body: &str) -> Reply {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\nX-Auth-Token: {TOKEN}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        raw(self.address, request.as_bytes()).await
    }

    async fn get(&self, path: &str) -> Value {
        let reply = self.call("GET", path, "").await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        reply.json()
    }

    async fn post(&self, path: &str, body: &Value) -> Reply {
        self.call("POST", path, &body.to_string()).await
    }

    async fn image(&self) -> String {
        let images = self.get("/api/images").await;
        let debian = images.as_array().unwrap().iter().find(|image| image["name"] == "debian");
        debian.unwrap()["id"].as_str().unwrap().to_owned()
    }

    async fn create(&self, name: &str) -> String {
        let body = json!({
            "name": name, "imageId": self.image().await, "flavourId": self.flavour,
            "securityGroups": ["web"], "metadata": {"id": "77", "proposals": "", "x": null},
            "bootCommand": "echo hi",
        });
        let reply = self.post("/api/instances", &body).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.json()["id"].as_str().unwrap().to_owned()
    }

    async fn state(&self, id: &str, wanted: &str) -> Value {
        for _ in 0..600 {
            let row = self.get(&format!("/api/instances/{id}")).await;
            if row["state"] == wanted {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{id} did not become {wanted}");
    }
}

#[tokio::test]
async fn nobody_is_let_in_without_the_token_and_nothing_of_a_body_is_read_before() {
    let visa = Visa::open().await;
    for header in ["", "x-auth-token: other\r\n", "x-auth-token: visa-token\r\nx-auth-token: a\r\n"]
    {
        for path in ["/api/instances", "/api/nothing"] {
            let request = format!(
                "POST {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n{header}content-length: 1\r\n\r\n{{"
            );
            let reply = raw(visa.address, request.as_bytes()).await;
            assert_eq!((reply.status, reply.body.as_str()), (401, "Unauthorized"), "{header}");
        }
    }
    let unknown = visa.call("GET", "/api/nothing", "").await;
    assert_eq!((unknown.status, unknown.json()), (404, json!({"message": "Not found"})));
    let broken = visa.call("POST", "/api/instances", "{").await;
    assert_eq!(broken.status, 400, "{broken:?}");
    let large = visa.call("POST", "/api/instances", &" ".repeat(300 << 10)).await;
    assert_eq!(large.status, 413, "{large:?}");
}

#[tokio::test]
async fn an_instance_is_readable_at_once_and_goes_through_its_life() {
    let visa = Visa::open().await;
    let id = visa.create("VISA-INSTANCE-77").await;
    assert_eq!(id, "1000000000");
    let path = format!("/api/instances/{id}");
    let row = visa.get(&path).await;
    assert_eq!(row["name"], "VISA-INSTANCE-77");
    assert_eq!(row["flavourId"], visa.flavour.as_str());
    assert_eq!(row["securityGroups"], json!(["web"]));
    let keys: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys.len(), 10, "{keys:?}");
    assert!(row["fault"].is_null());
    assert_eq!(
        visa.get("/api/instances/identifiers").await,
        json!([{"id": id, "name": row["name"]}])
    );

    visa.state(&id, "ACTIVE").await;
    let listed = visa.get("/api/instances").await;
    assert_eq!(listed[0]["id"], id.as_str());
    let stopped = visa.call("POST", &format!("{path}/shutdown"), "").await;
    assert_eq!(stopped.json(), json!({"message": "Shutting down instance"}));
    visa.state(&id, "STOPPED").await;
    let started = visa.call("POST", &format!("{path}/start"), "").await;
    assert_eq!(started.json(), json!({"message": "Starting instance"}));
    // Never STOPPED again from here: VISA would take that for the end.
    let state = visa.get(&path).await["state"].clone();
    assert!(state == "STARTING" || state == "ACTIVE", "{state}");
    visa.state(&id, "ACTIVE").await;
    let again = visa.call("POST", &format!("{path}/reboot"), "").await;
    assert_eq!(again.json(), json!({"message": "Rebooting instance"}));
    visa.state(&id, "ACTIVE").await;

    let deleted = visa.call("DELETE", &path, "").await;
    assert_eq!((deleted.status, deleted.json()), (200, json!({"message": "Deleted instance"})));
    let mut gone = false;
    for _ in 0..600 {
        let reply = visa.call("GET", &path, "").await;
        gone = reply.status == 404;
        if gone {
            break;
        }
        assert_eq!(reply.json()["state"], "STOPPING");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(gone && visa.doors.test.cloud.guests().is_empty());
    assert_eq!(visa.call("DELETE", &path, "").await.status, 404);
    assert_eq!(visa.create("VISA-INSTANCE-78").await, "1000000001");
}

#[tokio::test]
async fn security_groups_are_changed_one_after_the_other_without_waiting_between() {
    let visa = Visa::open().await;
    let id = visa.create("web-1").await;
    visa.state(&id, "ACTIVE").await;
    let path = format!("/api/instances/{id}/security_groups");
    assert_eq!(visa.get("/api/security_groups").await, json!(["db", "web"]));
    let removed = visa.post(&format!("{path}/remove"), &json!({"name": "web"})).await;
    assert_eq!(removed.json(), json!({"message": "Removed security group"}));
    for name in ["db", "web"] {
        let added = visa.post(&path, &json!({"name": name})).await;
        assert_eq!(added.json(), json!({"message": "Added security group"}), "{added:?}");
    }
    assert_eq!(visa.get(&path).await, json!(["db", "web"]));
    assert_eq!(visa.doors.test.cloud.guests()[0].groups, ["db", "web"]);
    let refused = visa.post(&path, &json!({})).await;
    assert_eq!((refused.status, refused.json()), (400, json!({"error": "\"name\" is required"})));
}

#[tokio::test]
async fn rooms_and_sizes_are_told_in_the_units_that_visa_reckons_with() {
    let visa = Visa::open().await;
    let flavour = json!({"id": visa.flavour, "name": "small", "cpus": 2, "disk": 10, "ram": 4096});
    assert_eq!(visa.get("/api/flavours").await, json!([flavour]));
    assert_eq!(visa.get(&format!("/api/flavours/{}", visa.flavour)).await, flavour);
    assert_eq!(visa.call("GET", "/api/flavours/9", "").await.status, 404);
    assert_eq!(visa.call("GET", "/api/images/9", "").await.status, 404);
    let id = visa.create("web-1").await;
    visa.state(&id, "ACTIVE").await;
    visa.doors.test.look().await;
    let metrics = visa.get("/api/metrics").await;
    let expected = json!({
        "maxTotalRamSize": 2 * 256 * 1024, "maxTotalCores": 128, "maxTotalInstances": 1_000_000,
        "totalCoresUsed": 2.0, "totalInstancesUsed": 1, "totalRamUsed": 4096,
    });
    assert_eq!(metrics, expected);
    let inventories = visa.get("/api/hypervisor_inventories").await;
    let host = json!({"id": "host1", "hostname": "host1", "state": "up", "status": "enabled"});
    assert_eq!(
        inventories[0],
        json!({"hypervisor": host, "inventory": {"VCPU": 64, "MEMORY_MB": 262_144}})
    );
    let allocations = visa.get("/api/hypervisor_allocations").await;
    let all: Vec<&Value> = allocations
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|it| it["allocations"].as_array().unwrap())
        .collect();
    assert_eq!(all, [&json!({"serverComputeId": id})]);
    for newer in ["devices", "device_allocations", "custom_resource_classes"] {
        assert_eq!(visa.get(&format!("/api/{newer}")).await, json!([]));
    }
}

#[tokio::test]
async fn what_is_not_this_doors_is_nobodys() {
    let visa = Visa::open().await;
    let client = visa.doors.client("visa", Role::Member).await;
    let mut request = client::wire::CreateInstance::new("other", "debian");
    (request.cores, request.memory_bytes) = (Some(1), Some(1 << 30));
    let other = client.create_instance(&request).await.unwrap().instance;
    assert_eq!(visa.get("/api/instances").await, json!([]));
    assert_eq!(visa.get("/api/instances/identifiers").await, json!([]));
    for id in [other.to_string(), "100".to_owned()] {
        assert_eq!(visa.call("DELETE", &format!("/api/instances/{id}"), "").await.status, 404);
    }
}
