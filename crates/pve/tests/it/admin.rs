//! Users, permissions, realms and storages over the wire.

use pve::access::{
    AclRequest, CreateUserRequest, DomainRequest, TfaRequest, TokenRequest, UpdateUserRequest,
};
use pve::storage::{CreateStorageRequest, PruneRequest, UpdateStorageRequest};
use secrecy::ExposeSecret as _;

use crate::server::{Server, assert_last, data, soon};

async fn silent() -> Server {
    Server::start(|_| data("null")).await
}

#[tokio::test]
async fn users_and_their_tokens() {
    let server = silent().await;
    let access = server.client().access();
    let user = CreateUserRequest::new("joe@pve").password("12345678").groups(["a", "b"]);
    assert!(!format!("{user:?}").contains("12345678"));
    soon(access.create_user(&user)).await.unwrap();
    assert_last(&server, "POST access/users", "userid=joe%40pve&password=12345678&groups=a%2Cb");
    let joe = access.user("joe@pve");
    soon(joe.update(&UpdateUserRequest::new().enable(false))).await.unwrap();
    assert_last(&server, "PUT access/users/joe%40pve", "enable=0");
    soon(joe.token("t1").delete()).await.unwrap();
    assert_last(&server, "DELETE access/users/joe%40pve/token/t1", "");
    soon(joe.delete()).await.unwrap();
    assert_last(&server, "DELETE access/users/joe%40pve", "");
    soon(access.users(Some(true), true)).await.unwrap();
    assert_last(&server, "GET access/users?enabled=1&full=1", "");
    let password = "87654321".into();
    soon(access.change_password("joe@pve", password, Some("own".into()))).await.unwrap();
    assert_last(
        &server,
        "PUT access/password",
        "userid=joe%40pve&password=87654321&confirmation-password=own",
    );
    soon(access.permissions_of(Some("joe@pve!t"), Some("/vms"))).await.unwrap();
    assert_last(&server, "GET access/permissions?userid=joe%40pve%21t&path=%2Fvms", "");
}

#[tokio::test]
async fn a_tokens_secret_is_read_once_and_never_printed() {
    let made =
        r#"{"full-tokenid":"joe@pve!t","value":"1234-5678","info":{"privsep":"0","expire":"0"}}"#;
    let echo = r#"{"comment":"x","expire":"0","privsep":"0"}"#;
    let server = Server::scripted([data(made), data(echo)]).await;
    let token = server.client().access().user("joe@pve").token("t");
    let new = soon(token.create(&TokenRequest::new().privsep(false))).await.unwrap();
    assert_last(&server, "POST access/users/joe%40pve/token/t", "privsep=0");
    assert_eq!(new.secret.expose_secret(), "1234-5678");
    assert_eq!((new.info.privsep, new.info.expire), (false, Some(0)));
    assert!(!format!("{new:?}").contains("1234"));
    let now = soon(token.update(&TokenRequest::new().comment("x"))).await.unwrap();
    assert_eq!((now.privsep, now.comment.as_deref()), (false, Some("x")));
}

#[tokio::test]
async fn groups_roles_and_grants() {
    let server = silent().await;
    let access = server.client().access();
    soon(access.create_group("g", Some("x"))).await.unwrap();
    assert_last(&server, "POST access/groups", "groupid=g&comment=x");
    soon(access.create_role("R", &["VM.Audit", "VM.Clone"])).await.unwrap();
    assert_last(&server, "POST access/roles", "roleid=R&privs=VM.Audit%2CVM.Clone");
    soon(access.role("R").update(&["VM.Audit"], true)).await.unwrap();
    assert_last(&server, "PUT access/roles/R", "privs=VM.Audit&append=1");
    let grant = AclRequest::new("/vms/100", "R").tokens(["joe@pve!t"]).propagate(false);
    soon(access.change_acl(&grant)).await.unwrap();
    assert_last(
        &server,
        "PUT access/acl",
        "path=%2Fvms%2F100&roles=R&tokens=joe%40pve%21t&propagate=0",
    );
    let ldap = DomainRequest::new().kind("ldap").server1("l").base_dn("dc=x").user_attr("uid");
    soon(access.domain("corp").create(&ldap)).await.unwrap();
    assert_last(
        &server,
        "POST access/domains",
        "realm=corp&type=ldap&server1=l&base_dn=dc%3Dx&user_attr=uid",
    );
    let tfa = TfaRequest::new("totp").totp("otpauth://totp/x").value("123456");
    let _ = soon(access.add_tfa("joe@pve", &tfa)).await;
    assert_last(
        &server,
        "POST access/tfa/joe%40pve",
        "type=totp&totp=otpauth%3A%2F%2Ftotp%2Fx&value=123456",
    );
}

#[tokio::test]
async fn odd_spellings_of_access_are_read() {
    let roles = r#"[{"roleid":"A","privs":"VM.Audit,VM.Clone","special":1},
        {"roleid":"B","privs":"","special":"1"},{"roleid":"C","privs":null,"special":""}]"#;
    let server = Server::scripted([
        data(roles),
        data(r#"{"VM.Audit":1,"VM.Clone":"1"}"#),
        data(r#"[{"path":"/","type":"user","ugid":"a@b","roleid":"A","propagate":"1"}]"#),
        data(r#"[{"groupid":"g","users":"a@b,c@d"}]"#),
        data(r#"{"members":["a@b"],"comment":"x"}"#),
        data(r#"{"enable":1,"groups":["g"],"tokens":{"t":{"privsep":1}}}"#),
        data(r#"[{"userid":"a@b","entries":[{"id":"1","type":"totp","enable":"1"}],"totp-locked":""}]"#),
    ])
    .await;
    let access = server.client().access();
    let roles = soon(access.roles()).await.unwrap();
    assert_eq!(roles.iter().map(|role| role.special).collect::<Vec<_>>(), [true, true, false]);
    assert!(roles[0].privs.has("VM.Clone") && roles[1].privs.0.is_empty());
    assert_eq!(soon(access.role("A").get()).await.unwrap().len(), 2);
    assert!(soon(access.acl()).await.unwrap()[0].propagate);
    assert_eq!(soon(access.groups()).await.unwrap()[0].users.0, ["a@b", "c@d"]);
    assert_eq!(soon(access.group("g").get()).await.unwrap().members.0, ["a@b"]);
    let user = soon(access.user("a@b").get()).await.unwrap();
    assert_eq!((user.userid.as_str(), user.enable), ("a@b", true));
    assert_eq!((user.groups.0, user.tokens["t"]["privsep"].as_u64()), (vec!["g".into()], Some(1)));
    let tfa = soon(access.tfa()).await.unwrap();
    assert_eq!((tfa[0].entries[0].enable, tfa[0].totp_locked), (Some(true), false));
}

#[tokio::test]
async fn storages_and_volumes() {
    let server = silent().await;
    let client = server.client();
    let new = CreateStorageRequest::new("s", "dir").path("/x").content(["iso", "images"]);
    soon(client.storages().create(&new)).await.unwrap();
    assert_last(&server, "POST storage", "storage=s&type=dir&path=%2Fx&content=iso%2Cimages");
    let change = UpdateStorageRequest::new().disable(true).delete(["nodes"]).digest("ab");
    soon(client.storage("s").update(&change)).await.unwrap();
    assert_last(&server, "PUT storage/s", "disable=1&delete=nodes&digest=ab");
    soon(client.storage("s").delete()).await.unwrap();
    assert_last(&server, "DELETE storage/s", "");
    let storage = client.node("pve1").storage("s");
    let volume = storage.volume("s:backup/a.vma.zst");
    soon(volume.update(Some("n"), Some(true))).await.unwrap();
    assert_last(
        &server,
        "PUT nodes/pve1/storage/s/content/s%3Abackup%2Fa.vma.zst",
        "notes=n&protected=1",
    );
    let rules = PruneRequest::new().prune_backups("keep-last=1").kind("qemu");
    soon(storage.prune(&rules)).await.unwrap();
    assert_last(
        &server,
        "DELETE nodes/pve1/storage/s/prunebackups?prune-backups=keep-last%3D1&type=qemu",
        "",
    );
}
