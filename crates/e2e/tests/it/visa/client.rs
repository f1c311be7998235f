//! A client as strict as VISA's: what its reader of JSON refuses is refused here.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The words that the newest client knows.
const STATES: [&str; 12] = [
    "UNKNOWN",
    "BUILDING",
    "STARTING",
    "ACTIVE",
    "STOPPING",
    "STOPPED",
    "REBOOTING",
    "UNAVAILABLE",
    "ERROR",
    "DELETED",
    "ACTIVE_MIGRATING",
    "MIGRATING",
];

/// A value in which no key stands twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;
        impl<'de> Visitor<'de> for Reads {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(value.into())
            }
            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(value.into())
            }
            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(value.into())
            }
            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                Ok(value.into())
            }
            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(value.into())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
                let mut all = Vec::new();
                while let Some(Strict(value)) = list.next_element()? {
                    all.push(value);
                }
                Ok(all.into())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut all = Map::new();
                while let Some((key, Strict(value))) = map.next_entry::<String, Strict>()? {
                    if all.insert(key.clone(), value).is_some() {
                        return Err(serde::de::Error::custom(format!("{key} stands twice")));
                    }
                }
                Ok(all.into())
            }
        }
        deserializer.deserialize_any(Reads).map(Self)
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_str::<Strict>(&self.body) {
            Ok(Strict(value)) => value,
            Err(error) => panic!("{error}: {self:?}"),
        }
    }
}

/// VISA's server, as far as the door sees it.
#[derive(Clone)]
pub struct Client {
    pub address: SocketAddr,
    pub token: String,
}

impl Client {
    /// One request on a connection of its own, on a thread of its own.
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let body = body.map(ToString::to_string).unwrap_or_default();
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: visa\r\nConnection: close\r\nX-Auth-Token: {}\r\n\
             Accept: application/json\r\n",
            self.token
        );
        if !body.is_empty() || method == "POST" {
            let length = body.len();
            request.push_str(&format!(
                "Content-Type: application/json\r\nContent-Length: {length}\r\n"
            ));
        }
        request.push_str(&format!("\r\n{body}"));
        let address = self.address;
        let asked = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).expect("the door listens");
            // The read timeout of VISA's client.
            stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
            stream.write_all(request.as_bytes()).expect("asked");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("an answer within 30 s");
            answer
        });
        let answer = asked.await.expect("no panic");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Answer { status: status.expect("a status"), body: body.to_owned() }
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = self.call("GET", path, None).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    /// Waits until the cluster's template has been seen.
    pub async fn until_images(&self) {
        let begun = std::time::Instant::now();
        while self.get("/api/images").await == Value::Array(Vec::new()) {
            assert!(begun.elapsed() < Duration::from_secs(60), "no image");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// An instance, read as both generations of client read it.
    pub async fn instance(&self, id: &str) -> Value {
        let row = self.get(&format!("/api/instances/{id}")).await;
        check_instance(&row);
        row
    }

    /// Every list that VISA asks for, read as it reads them.
    pub async fn check_lists(&self) {
        let rows = self.get("/api/instances").await;
        rows.as_array().expect("a list").iter().for_each(check_instance);
        for row in self.get("/api/instances/identifiers").await.as_array().expect("a list") {
            text(row, "id");
            text(row, "name");
        }
        for image in self.get("/api/images").await.as_array().expect("a list") {
            ["id", "name", "createdAt"].iter().for_each(|key| text(image, key));
            assert!(image["size"].as_i64().is_some(), "{image}");
        }
        for flavour in self.get("/api/flavours").await.as_array().expect("a list") {
            ["id", "name"].iter().for_each(|key| text(flavour, key));
            ["cpus", "disk", "ram"].iter().for_each(|key| int(flavour, key));
        }
        for group in self.get("/api/security_groups").await.as_array().expect("a list") {
            assert!(group.is_string(), "{group}");
        }
        let metrics = self.get("/api/metrics").await;
        for key in ["maxTotalRamSize", "maxTotalCores", "maxTotalInstances", "totalInstancesUsed"] {
            int(&metrics, key);
        }
        int(&metrics, "totalRamUsed");
        assert!(metrics["totalCoresUsed"].is_number(), "{metrics}");
        assert!(metrics["maxTotalInstances"].as_i64() > metrics["totalInstancesUsed"].as_i64());
        for row in self.get("/api/hypervisor_inventories").await.as_array().expect("a list") {
            ["id", "hostname", "state", "status"]
                .iter()
                .for_each(|key| text(&row["hypervisor"], key));
            ["VCPU", "MEMORY_MB"].iter().for_each(|key| int(&row["inventory"], key));
        }
    }
}

#[track_caller]
fn text(value: &Value, key: &str) {
    assert!(value[key].is_string(), "{key}: {value}");
}

/// A Java int.
#[track_caller]
fn int(value: &Value, key: &str) {
    let number = value[key].as_i64().and_then(|number| i32::try_from(number).ok());
    assert!(number.is_some(), "{key}: {value}");
}

fn check_instance(row: &Value) {
    for key in ["id", "name", "state", "imageId", "flavourId", "createdAt", "address"] {
        text(row, key);
    }
    assert!(STATES.contains(&row["state"].as_str().unwrap_or_default()), "{row}");
    let created = row["createdAt"].as_str().unwrap_or_default();
    assert_eq!(created.as_bytes().get(10), Some(&b'T'), "{row}");
    assert!(row["securityGroups"].as_array().is_some_and(|all| all.iter().all(Value::is_string)));
    let fault = &row["fault"];
    assert_eq!(fault.is_null(), row["state"] != "ERROR", "{row}");
    if !fault.is_null() {
        ["message", "details", "created", "createdAt"].iter().for_each(|key| text(fault, key));
        int(fault, "code");
    }
}
