//! Facts about tickets, tokens and privileges.

use crate::support::{Client, builder, default, start};
use pve_sim::{Change, Version};

#[tokio::test]
async fn fact_05_the_missing_privilege_is_named() {
    let client =
        start(builder().user("bob@pve", "bobs-password").token("bob@pve!t", "s", false).acl(
            "/vms/9000",
            "bob@pve",
            "PVEVMUser",
        ))
        .await;
    let bob = Client::with_token(&client.simulator, "bob@pve!t=s");
    assert_eq!(bob.get("/nodes/pve1/qemu/9000/config").await.status, 200);
    assert_eq!(
        bob.get("/nodes/pve1/qemu/9001/config").await.line(),
        "403 Permission check failed (/vms/9001, VM.Audit)"
    );
    let put = bob.put("/nodes/pve1/qemu/9001/config", "memory=99").await;
    assert!(
        put.line()
            .starts_with("403 Permission check failed (/vms/9001, VM.Config.Disk|VM.Config.CDROM|"),
        "{put:?}"
    );
    assert_eq!(
        bob.post("/nodes/pve1/qemu", "vmid=500").await.line(),
        "403 Permission check failed"
    );
    assert_eq!(
        bob.post("/nodes/pve1/qemu/9000/clone", "newid=500").await.line(),
        "403 Permission check failed (/vms/9000, VM.Clone)"
    );
    assert_eq!(
        bob.get("/nodes/pve1/status").await.line(),
        "403 Permission check failed (/nodes/pve1, Sys.Audit)"
    );
}

#[tokio::test]
async fn fact_24_25_a_ticket_needs_the_csrf_token_to_write_and_renews_itself() {
    let client = default().await;
    let ticket = Client::with_password(&client.simulator, "root@pam", "secret-password").await;
    assert_eq!(ticket.post("/pools", "poolid=web").await.status, 200);
    let text = ticket.auth.lines().next().unwrap().to_owned();
    let bare = Client { simulator: client.simulator.clone(), auth: format!("{text}\r\n") };
    assert_eq!(bare.get("/version").await.status, 200);
    let refused = bare.post("/pools", "poolid=x").await;
    assert_eq!(refused.line(), "401 Permission denied - invalid csrf token");
    let value = text
        .strip_prefix("Cookie: PVEAuthCookie=")
        .unwrap()
        .replace("%3D", "=")
        .replace('+', "%2B");
    let again =
        bare.post("/access/ticket", &format!("username=root@pam&password={value}")).await.data();
    assert_eq!(again["username"], "root@pam");
    client.simulator.advance(std::time::Duration::from_secs(7201)).await;
    assert_eq!(bare.get("/version").await.line(), "401 Authentication failed!");
}

#[tokio::test]
async fn fact_26_29_a_fresh_token_sees_empty_lists() {
    let client = default().await;
    let made = client.post("/access/users/root@pam/token/fresh", "").await.data();
    assert_eq!(made["info"]["privsep"], 1);
    let token = format!("root@pam!fresh={}", made["value"].as_str().unwrap());
    let fresh = Client::with_token(&client.simulator, &token);
    assert_eq!(fresh.get("/nodes/pve1/qemu").await.data(), serde_json::json!([]));
    assert_eq!(fresh.get("/cluster/resources?type=vm").await.data(), serde_json::json!([]));
    assert!(fresh.get("/nodes").await.data()[0].get("maxcpu").is_none());
    assert_eq!(
        fresh.get("/nodes/pve1/qemu/9000/config").await.line(),
        "403 Permission check failed (/vms/9000, VM.Audit)"
    );
}

#[tokio::test]
async fn fact_27_28_a_root_token_is_not_root() {
    let client = default().await;
    assert_eq!(
        client.post("/nodes/pve1/qemu", "vmid=500&args=-s").await.line(),
        "500 only root can set 'args' config"
    );
    let skip = client.delete("/nodes/pve1/qemu/9000?skiplock=1").await;
    assert_eq!(skip.error("skiplock"), "Only root may use this option.");
    let import =
        client.post("/nodes/pve1/qemu", "vmid=500&scsi0=local:0,import-from%3D/tmp/x.raw").await;
    assert!(
        import.line().starts_with("500 Only root can pass arbitrary filesystem paths."),
        "{import:?}"
    );
    let ticket = client.post("/access/ticket", "username=root@pam&password=x").await;
    assert_eq!(
        ticket.line(),
        "403 Permission check failed (URI '/access/ticket' not available with API token, need proper ticket."
    );
}

#[tokio::test]
async fn fact_30_a_clone_needs_the_storage_and_the_bridge() {
    let builder = builder()
        .user("bob@pve", "bobs-password")
        .token("bob@pve!tk", "s", true)
        .acl("/vms", "bob@pve", "PVEVMAdmin")
        .acl("/vms", "bob@pve!tk", "PVEVMAdmin")
        .acl("/storage/local", "bob@pve", "PVEDatastoreUser");
    let client = start(builder).await;
    let bob = Client::with_token(&client.simulator, "bob@pve!tk=s");
    let clone = "/nodes/pve1/qemu/9000/clone";
    let line = "403 Permission check failed (/storage/local, Datastore.AllocateSpace)";
    assert_eq!(bob.post(clone, "newid=500").await.line(), line);
    client
        .put("/access/acl", "path=/storage/local&roles=PVEDatastoreUser&tokens=bob@pve!tk")
        .await
        .data();
    let line = "403 Permission check failed (/sdn/zones/localnetwork/vmbr0, SDN.Use)";
    assert_eq!(bob.post(clone, "newid=500").await.line(), line);
    client
        .put("/access/acl", "path=/sdn/zones&roles=PVESDNUser&tokens=bob@pve!tk&users=bob@pve")
        .await
        .data();
    assert_eq!(bob.task("POST", clone, "newid=500").await, "OK");
}

#[tokio::test]
async fn fact_31_the_agent_privileges_differ_by_release() {
    for (version, known, unknown) in [
        (Version::V8_4, "VM.Monitor", "VM.GuestAgent.Audit"),
        (Version::V9_2, "VM.GuestAgent.Audit", "VM.Monitor"),
    ] {
        let client = start(builder().version(version)).await;
        assert_eq!(
            client.post("/access/roles", &format!("roleid=Good&privs={known}")).await.status,
            200
        );
        let bad = client.post("/access/roles", &format!("roleid=Bad&privs={unknown}")).await;
        assert_eq!(bad.error("privs"), format!("invalid format - invalid privilege '{unknown}'\n"));
    }
}

#[tokio::test]
async fn a_withdrawn_privilege_is_refused_until_it_is_given_back() {
    let client = default().await;
    let change = |granted| Change::Privilege { name: "VM.Clone".into(), granted };
    client.simulator.change(&change(false));
    let answer = client.post("/nodes/pve1/qemu/9000/clone", "newid=500").await;
    assert_eq!(answer.line(), "403 Permission check failed (/vms/9000, VM.Clone)");
    client.simulator.change(&change(true));
    assert_eq!(client.task("POST", "/nodes/pve1/qemu/9000/clone", "newid=500").await, "OK");
}
