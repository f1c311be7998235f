//! What differs between the releases that can be played.

use crate::support::{Client, builder, start};
use pve_sim::Version;

async fn of(version: Version) -> Client {
    let client = start(builder().version(version)).await;
    client.task("POST", "/nodes/pve1/qemu/9000/clone", "newid=500&name=web").await;
    client
}

#[tokio::test]
async fn each_release_tells_its_number() {
    for (version, release) in
        [(Version::V7_4, "7.4"), (Version::V8_4, "8.4"), (Version::V9_2, "9.2")]
    {
        let client = start(builder().version(version)).await;
        assert_eq!(client.get("/version").await.data()["release"], release);
    }
}

#[tokio::test]
async fn release_7_resizes_before_it_answers_and_newer_ones_in_a_task() {
    let path = "/nodes/pve1/qemu/500/resize";
    let old = of(Version::V7_4).await;
    assert!(old.put(path, "disk=scsi0&size=%2B1G").await.data().is_null());
    assert!(old.config(500).await["scsi0"].as_str().unwrap().ends_with(",size=3G"));
    assert_eq!(
        old.put(path, "disk=scsi0&size=1G").await.line(),
        "500 shrinking disks is not supported"
    );
    let new = of(Version::V8_4).await;
    assert_eq!(new.task("PUT", path, "disk=scsi0&size=%2B1G").await, "OK");
    assert!(new.config(500).await["scsi0"].as_str().unwrap().ends_with(",size=3G"));
}

#[tokio::test]
async fn release_7_lacks_what_came_later() {
    let old = of(Version::V7_4).await;
    let new = of(Version::V8_4).await;
    let undefined =
        "property is not defined in schema and the schema does not allow additional properties";
    let path = "/nodes/pve1/qemu/500/config";
    assert_eq!(old.put(path, "ciupgrade=0").await.error("ciupgrade"), undefined);
    assert_eq!(new.put(path, "ciupgrade=0").await.status, 200);
    assert_eq!(old.get("/pools?poolid=x").await.error("poolid"), undefined);
    assert_eq!(
        old.put("/pools", "poolid=x").await.line(),
        "501 Method 'PUT /pools' not implemented"
    );
    assert_eq!(
        old.get("/cluster/mapping/pci").await.line(),
        "501 Method 'GET /cluster/mapping/pci' not implemented"
    );
}

#[tokio::test]
async fn release_7_tells_what_is_wrong_with_credentials() {
    for (version, texts) in [
        (
            Version::V7_4,
            [
                "invalid token value!",
                "no such token 'none' for user 'root@pam'",
                "no such user ('bob@pve')",
                "permission denied - invalid PVE ticket",
                "No ticket",
            ],
        ),
        (
            Version::V8_4,
            [
                "Authentication failed!",
                "Authentication failed!",
                "Authentication failed!",
                "Authentication failed!",
                "No ticket",
            ],
        ),
    ] {
        let client = start(builder().version(version)).await;
        let headers = [
            "Authorization: PVEAPIToken=root@pam!simulator=nope\r\n",
            "Authorization: PVEAPIToken=root@pam!none=nope\r\n",
            "Authorization: PVEAPIToken=bob@pve!none=nope\r\n",
            "Cookie: PVEAuthCookie=nope\r\n",
            "",
        ];
        for (auth, text) in headers.into_iter().zip(texts) {
            let caller = Client { simulator: client.simulator.clone(), auth: auth.into() };
            assert_eq!(caller.get("/nodes").await.line(), format!("401 {text}"));
        }
    }
}
