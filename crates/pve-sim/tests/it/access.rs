//! Users, groups, roles, the access control list, realms and second factors.

use crate::support::{Client, builder, default, start};
use pve_sim::Version;
use serde_json::{Value, json};

/// The secret "12345678901234567890" of RFC 6238.
const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

fn code(simulator: &pve_sim::Simulator) -> String {
    let step = simulator.now().as_secs() / 30;
    let key = aws_lc_rs::hmac::Key::new(
        aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        b"12345678901234567890",
    );
    let tag = aws_lc_rs::hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[19] & 15);
    let word = u32::from_be_bytes(tag[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", word % 1_000_000)
}

fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

async fn root(client: &Client) -> Client {
    Client::with_password(&client.simulator, "root@pam", "secret-password").await
}

#[tokio::test]
async fn groups_have_members_and_give_them_rights() {
    let client = start(builder().user("bob@pve", "bobs-password")).await;
    client.post("/access/groups", "groupid=ops&comment=people").await.data();
    let again = client.post("/access/groups", "groupid=ops").await;
    assert_eq!(again.line(), "500 create group failed: group 'ops' already exists");
    client.put("/access/users/bob@pve", "groups=ops").await.data();
    assert_eq!(
        client.get("/access/groups").await.data(),
        json!([{"groupid": "ops", "users": "bob@pve", "comment": "people"}])
    );
    let bob = Client::with_password(&client.simulator, "bob@pve", "bobs-password").await;
    let config = "/nodes/pve1/qemu/9000/config";
    assert_eq!(bob.get(config).await.status, 403);
    client.put("/access/acl", "path=/vms&roles=PVEVMUser&groups=ops").await.data();
    assert_eq!(bob.get(config).await.status, 200);
    let row = client.get("/access/acl").await.data()[0].clone();
    assert_eq!((&row["type"], &row["ugid"]), (&json!("group"), &json!("ops")));
    // What is said of a user hides what is said of the user's groups.
    client.put("/access/acl", "path=/vms&roles=PVEDatastoreUser&users=bob@pve").await.data();
    assert_eq!(bob.get(config).await.status, 403);
    client
        .put("/access/acl", "path=/vms&roles=PVEDatastoreUser&users=bob@pve&delete=1")
        .await
        .data();
    client.delete("/access/groups/ops").await.data();
    assert_eq!(bob.get(config).await.status, 403);
    assert_eq!(client.get("/access/users/bob@pve").await.data()["groups"], json!([]));
    let missing = client.delete("/access/groups/ops").await;
    assert_eq!(missing.line(), "500 delete group failed: group 'ops' does not exist");
}

#[tokio::test]
async fn the_most_specific_path_wins_and_entries_need_not_propagate() {
    let client = start(builder().user("bob@pve", "bobs-password")).await;
    let bob = Client::with_password(&client.simulator, "bob@pve", "bobs-password").await;
    let config = "/nodes/pve1/qemu/9000/config";
    client.put("/access/acl", "path=/vms&roles=PVEVMUser&users=bob@pve&propagate=0").await.data();
    assert_eq!(bob.get(config).await.status, 403);
    client.put("/access/acl", "path=/&roles=PVEVMUser&users=bob@pve").await.data();
    assert_eq!(bob.get(config).await.status, 200);
    client.put("/access/acl", "path=/vms/9000&roles=NoAccess&users=bob@pve").await.data();
    assert_eq!(bob.get(config).await.status, 403);
    assert_eq!(bob.get("/nodes/pve1/qemu/9001/config").await.status, 200);
    let own = bob.get("/access/permissions").await.data();
    assert_eq!(own["/"]["VM.Audit"], 1);
    assert_eq!(own.get("/vms/9000"), None);
}

#[tokio::test]
async fn a_bad_entry_changes_nothing() {
    let client = start(builder().user("bob@pve", "x-password")).await;
    let put = |body: &'static str| client.put("/access/acl", body);
    let bad = put("path=/foo/bar&roles=PVEAuditor&users=bob@pve").await;
    assert_eq!(bad.error("path"), "invalid ACL path '/foo/bar'");
    let bad = put("path=/vms&roles=PVEAuditor,NoRole&users=bob@pve").await;
    assert_eq!(bad.line(), "500 ACL update failed: role 'NoRole' does not exist");
    let bad = put("path=/vms&roles=PVEAuditor&users=bob@pve,nobody@pve").await;
    assert_eq!(bad.line(), "500 ACL update failed: user 'nobody@pve' does not exist");
    let bad = put("path=/vms&roles=PVEAuditor&groups=nosuch").await;
    assert_eq!(bad.line(), "500 ACL update failed: group 'nosuch' does not exist");
    assert_eq!(client.get("/access/acl").await.data(), json!([]));
    put("path=vms/&roles=PVEAuditor&users=bob@pve").await.data();
    assert_eq!(client.get("/access/acl").await.data()[0]["path"], "/vms");
}

#[tokio::test]
async fn built_in_roles_are_special_and_stay() {
    for (version, has) in [(Version::V8_4, "VM.Monitor"), (Version::V9_2, "VM.Replicate")] {
        let client = start(builder().version(version)).await;
        let roles = client.get("/access/roles").await.data();
        let roles = roles.as_array().unwrap();
        assert_eq!(roles.iter().filter(|role| role["special"] == 1).count(), 17);
        let admin = roles.iter().find(|role| role["roleid"] == "PVEVMAdmin").unwrap();
        assert!(admin["privs"].as_str().unwrap().split(',').any(|name| name == has));
        let gone = client.delete("/access/roles/PVEAdmin").await;
        assert_eq!(gone.line(), "500 auto-generated role 'PVEAdmin' cannot be deleted");
        let bad = client.post("/access/roles", "roleid=pveX").await;
        let text = "cannot use role ID starting with the (case-insensitive) 'PVE' namespace";
        assert_eq!(bad.error("roleid"), text);
    }
}

#[tokio::test]
async fn users_are_seen_by_themselves_and_by_those_who_manage_them() {
    let client =
        start(builder().user("bob@pve", "bobs-password").user("eve@pve", "eves-password")).await;
    let bob = Client::with_password(&client.simulator, "bob@pve", "bobs-password").await;
    let ids = |rows: Value| -> Vec<String> {
        rows.as_array().unwrap().iter().map(|row| row["userid"].as_str().unwrap().into()).collect()
    };
    assert_eq!(ids(bob.get("/access/users").await.data()), ["bob@pve"]);
    client.post("/access/groups", "groupid=team").await.data();
    client.put("/access/users/eve@pve", "groups=team").await.data();
    client
        .put("/access/acl", "path=/access/groups/team&roles=PVEUserAdmin&users=bob@pve")
        .await
        .data();
    assert_eq!(ids(bob.get("/access/users").await.data()), ["bob@pve", "eve@pve"]);
    assert_eq!(bob.put("/access/users/eve@pve", "comment=x&groups=team").await.status, 200);
    assert_eq!(bob.put("/access/users/root@pam", "comment=x").await.status, 403);
    // A missing user is an error to everybody but root (fact 82).
    assert_eq!(bob.delete("/access/users/nobody@pve").await.status, 403);
    let token = client.delete("/access/users/nobody@pve").await;
    assert_eq!(token.line(), "500 no such user ('nobody@pve')");
    assert_eq!(root(&client).await.delete("/access/users/nobody@pve").await.status, 200);
}

#[tokio::test]
async fn an_expired_user_or_token_cannot_call() {
    let client = start(builder().user("bob@pve", "bobs-password")).await;
    let expire = client.simulator.now().as_secs() + 60;
    client.put("/access/users/bob@pve", &format!("expire={expire}")).await.data();
    let bob = Client::with_password(&client.simulator, "bob@pve", "bobs-password").await;
    assert_eq!(bob.get("/version").await.status, 200);
    client.simulator.advance(std::time::Duration::from_secs(61)).await;
    assert_eq!(bob.get("/version").await.line(), "401 Authentication failed!");
}

#[tokio::test]
async fn a_token_is_changed_and_in_9_its_secret_renewed() {
    let client = start(builder().version(Version::V9_2)).await;
    let path = "/access/users/root@pam/token/tk";
    let made = client.post(path, "privsep=0&comment=c").await.data();
    assert_eq!(made["info"], json!({"privsep": "0", "comment": "c"}));
    let echoed = client.put(path, "expire=0&comment=d").await.data();
    assert_eq!(echoed, json!({"privsep": 0, "expire": "0", "comment": "d"}));
    let fresh = client.put(path, "regenerate=1").await.data();
    assert_eq!(fresh["full-tokenid"], "root@pam!tk");
    let using = |value: &Value| {
        Client::with_token(&client.simulator, &format!("root@pam!tk={}", value.as_str().unwrap()))
    };
    assert_eq!(using(&made["value"]).get("/version").await.status, 401);
    assert_eq!(using(&fresh["value"]).get("/version").await.status, 200);
    client.delete(path).await.data();
    let gone = client.delete(path).await;
    assert_eq!(gone.line(), "500 no such token 'tk' for user 'root@pam'");
}

#[tokio::test]
async fn a_password_is_changed_with_a_ticket_only() {
    let client = start(builder().user("bob@pve", "bobs-password")).await;
    let refused = client.put("/access/password", "userid=bob@pve&password=longenough1").await;
    let text = "Permission check failed (URI '/access/password' not available with API token, need proper ticket.";
    assert_eq!(refused.line(), format!("403 {text}"));
    let root = root(&client).await;
    root.put("/access/password", "userid=bob@pve&password=longenough1").await.data();
    let bob = Client::with_password(&client.simulator, "bob@pve", "longenough1").await;
    let change = "userid=bob@pve&password=longenough2";
    let body = format!("{change}&confirmation-password=wrong-password");
    assert_eq!(bob.put("/access/password", &body).await.status, 401);
    let body = format!("{change}&confirmation-password=longenough1");
    bob.put("/access/password", &body).await.data();
    Client::with_password(&client.simulator, "bob@pve", "longenough2").await;
    let missing = root.put("/access/password", "userid=x@pve&password=longenough1").await;
    assert_eq!(missing.line(), "500 no such user ('x@pve')");
}

#[tokio::test]
async fn a_second_factor_turns_the_log_in_into_two_steps() {
    let client = start(builder().user("bob@pve", "bobs-password")).await;
    let bob = Client::with_password(&client.simulator, "bob@pve", "bobs-password").await;
    let uri = encode(&format!("otpauth://totp/bob?secret={SECRET}&issuer=x"));
    let body = format!("type=totp&description=phone&totp={uri}&value={}", code(&client.simulator));
    let unconfirmed = bob.post("/access/tfa/bob@pve", &body).await;
    assert_eq!(unconfirmed.error("password"), "password is required to modify TFA data");
    let confirmed = format!("{body}&password=bobs-password");
    let id = bob.post("/access/tfa/bob@pve", &confirmed).await.data()["id"].clone();
    let keys = bob
        .post("/access/tfa/bob@pve", "type=recovery&description=paper&password=bobs-password")
        .await
        .data();
    let key = keys["recovery"][0].as_str().unwrap().to_owned();

    let first = "username=bob@pve&password=bobs-password";
    let asked = bob.post("/access/ticket", first).await.data();
    assert_eq!((&asked["NeedTFA"], asked.get("cap")), (&json!(1), None));
    let ticket = asked["ticket"].as_str().unwrap();
    assert!(ticket.starts_with("PVE:!tfa!%7B"), "{ticket}");
    let half = Client {
        simulator: client.simulator.clone(),
        auth: format!("Cookie: PVEAuthCookie={}\r\n", encode(ticket)),
    };
    assert_eq!(half.get("/version").await.status, 401);
    let second = |answer: String| {
        format!("username=bob@pve&tfa-challenge={}&password={answer}", encode(ticket))
    };
    let wrong = bob.post("/access/ticket", &second("totp:000000".into())).await;
    assert_eq!(wrong.line(), "401 authentication failure");
    let right = second(format!("totp:{}", code(&client.simulator)));
    assert!(bob.post("/access/ticket", &right).await.data()["cap"].is_object());
    let by_key = second(format!("recovery:{key}"));
    assert_eq!(bob.post("/access/ticket", &by_key).await.status, 200);
    assert_eq!(bob.post("/access/ticket", &by_key).await.status, 401);

    let entries = client.get("/access/tfa/bob@pve").await.data();
    assert_eq!(entries.as_array().unwrap().len(), 2);
    let root = root(&client).await;
    let path = format!("/access/tfa/bob@pve/{}", id.as_str().unwrap());
    root.put(&path, "enable=0").await.data();
    assert_eq!(root.get(&path).await.data()["enable"], 0);
    root.delete(&path).await.data();
    root.delete("/access/tfa/bob@pve/recovery").await.data();
    assert_eq!(root.get(&path).await.status, 404);
    assert!(bob.post("/access/ticket", first).await.data()["cap"].is_object());
}

#[tokio::test]
async fn realms_are_added_changed_and_synchronised() {
    let client = default().await;
    let bare = Client { simulator: client.simulator.clone(), auth: String::new() };
    assert_eq!(bare.get("/access/domains").await.data().as_array().unwrap().len(), 2);
    let body = "realm=dir&type=ldap&server1=127.0.0.1&base_dn=dc%3Dx&user_attr=uid&port=389";
    client.post("/access/domains", body).await.data();
    let again = client.post("/access/domains", body).await;
    assert_eq!(again.line(), "500 add auth server failed: domain 'dir' already exists");
    let bad = client.post("/access/domains", "realm=two&type=ldap").await;
    assert_eq!(
        bad.line(),
        "500 add auth server failed: missing value for required option 'user_attr'"
    );
    client.put("/access/domains/dir", "comment=L&tfa=type%3Doath,step%3D30").await.data();
    let read = client.get("/access/domains/dir").await.data();
    assert_eq!((&read["port"], &read["type"]), (&json!(389), &json!("ldap")));
    let row = client.get("/access/domains").await.data()[0].clone();
    assert_eq!(row, json!({"realm": "dir", "type": "ldap", "comment": "L", "tfa": "oath"}));
    assert_eq!(client.task("POST", "/access/domains/dir/sync", "scope=both").await, "OK");
    let stale =
        client.put("/access/domains/dir", &format!("comment=M&digest={}", "0".repeat(40))).await;
    assert!(stale.line().contains("detected modified configuration"), "{stale:?}");
    client.delete("/access/domains/dir").await.data();
    let gone = client.get("/access/domains/dir").await;
    assert_eq!(gone.line(), "500 domain 'dir' does not exist");
}
