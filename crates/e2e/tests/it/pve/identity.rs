//! Users, groups, roles, tokens, access control, realms.

use pve::Auth;
use pve::access::SyncRequest;
use pve::error::Kind;
use pve::models::{
    Acl, AclSubject, Domain, Group, Permissions, Role, Token, TokenOptions, User, UserOptions,
};
use secrecy::SecretString;

use super::support::{Lab, RELEASES, connect};

fn secret(text: &str) -> SecretString {
    text.to_owned().into()
}

#[tokio::test]
async fn a_user_can_log_in_until_disabled_and_with_the_new_password_only() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        // A password is changed by a log-in, not by a token.
        let root = connect(&lab.simulator, Auth::ticket("root@pam", secret("secret-of-root")));
        let options = UserOptions {
            firstname: Some("Alice".into()),
            lastname: Some("Archer".into()),
            email: Some("alice@example.org".into()),
            comment: Some("first".into()),
            password: Some(secret("password-one")),
            ..Default::default()
        };
        let mut user = User::create(&root, "alice@pve", &options).await.unwrap();
        assert_eq!((user.full_name().as_str(), user.realm()), ("Alice Archer", "pve"));
        assert!(user.is_enabled() && user.expires().is_none());
        let again = User::create(&root, "alice@pve", &options).await.unwrap_err();
        assert!(again.already_exists(), "{again}");

        let log_in = |password: &str| {
            let client = connect(&lab.simulator, Auth::ticket("alice@pve", secret(password)));
            async move { client.version().await.is_ok() }
        };
        assert!(log_in("password-one").await);
        user.change_password(secret("password-two"), Some(secret("secret-of-root"))).await.ok();
        if !log_in("password-two").await {
            // Releases before 8.2 know no confirmation and refuse the parameter.
            user.change_password(secret("password-two"), None).await.unwrap();
        }
        assert!(!log_in("password-one").await);
        assert!(log_in("password-two").await);

        let off = UserOptions { enable: Some(false), ..Default::default() };
        user.update(&off).await.unwrap();
        assert!(!user.is_enabled());
        assert_eq!(user.comment(), Some("first"), "what was not said stays");
        assert!(!log_in("password-two").await);
        user.destroy().await.unwrap();
        assert!(User::get(&root, "alice@pve").await.unwrap().is_none());
        assert!(user.reload().await.unwrap_err().is_not_found());
    }
}

#[tokio::test]
async fn groups_have_the_users_that_name_them() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let client = &lab.client;
        let mut group = Group::create(client, "lab", None).await.unwrap();
        assert!(Group::create(client, "lab", None).await.unwrap_err().already_exists());
        let groups = Some(vec!["lab".to_owned()]);
        let options = UserOptions { groups, ..Default::default() };
        let user = User::create(client, "bob@pve", &options).await.unwrap();
        assert_eq!(user.groups(), ["lab"]);
        group.update("people of the lab").await.unwrap();
        assert_eq!(group.comment(), Some("people of the lab"));
        assert_eq!(group.members(), ["bob@pve"]);
        let listed = Group::all(client).await.unwrap();
        let listed = listed.iter().find(|one| one.id() == "lab").unwrap();
        assert_eq!(listed.members(), ["bob@pve"]);
        let listed = User::all(client).await.unwrap();
        assert_eq!(listed.iter().find(|one| one.id() == "bob@pve").unwrap().groups(), ["lab"]);

        group.destroy().await.unwrap();
        assert!(Group::get(client, "lab").await.unwrap().is_none());
        let user = User::get(client, "bob@pve").await.unwrap().unwrap();
        assert!(user.groups().is_empty());
    }
}

#[tokio::test]
async fn roles_and_entries_decide_what_is_allowed() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let client = &lab.client;
        let mut role = Role::create(client, "Looker", &["VM.Audit"]).await.unwrap();
        role.append(&["Sys.Audit"]).await.unwrap();
        assert_eq!(role.privileges().len(), 2);
        role.update(&["VM.Audit"]).await.unwrap();
        assert_eq!(role.privileges().iter().collect::<Vec<_>>(), ["VM.Audit"]);
        // Since 8 names that begin so are Proxmox's own.
        let refused = Role::create(client, "PVEMine", &["VM.Audit"]).await.is_err();
        assert_eq!(refused, version != pve_sim::Version::V7_4);
        let all = Role::all(client).await.unwrap();
        assert!(all.iter().any(|role| role.id() == "Administrator" && role.is_special()));

        User::create(client, "carol@pve", &UserOptions::default()).await.unwrap();
        let who = AclSubject::User("carol@pve".into());
        let entry = Acl::new("/vms/500", who, "Looker");
        entry.grant(client).await.unwrap();
        assert!(Acl::all(client).await.unwrap().contains(&entry));
        let may = Permissions::of(client, Some("carol@pve"), Some("/vms/500")).await.unwrap();
        assert!(may.has("/vms/500", "VM.Audit"));
        assert_eq!(may.privileges("/vms/500").collect::<Vec<_>>(), ["VM.Audit"]);
        entry.revoke(client).await.unwrap();
        assert!(!Acl::all(client).await.unwrap().contains(&entry));
        let may = Permissions::of(client, Some("carol@pve"), Some("/vms/500")).await.unwrap();
        assert!(!may.has("/vms/500", "VM.Audit"));
        let unknown = Acl::new("/", AclSubject::User("nobody@pve".into()), "Looker");
        assert!(unknown.grant(client).await.is_err());
        role.destroy().await.unwrap();
        assert!(Role::get(client, "Looker").await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_token_opens_what_it_was_given_until_it_is_destroyed() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let client = &lab.client;
        let user = User::create(client, "dave@pve", &UserOptions::default()).await.unwrap();
        let role = AclSubject::User("dave@pve".into());
        Acl::new("/", role, "PVEAuditor").grant(client).await.unwrap();
        let options = TokenOptions { comment: Some("of CI".into()), ..Default::default() };
        let made = user.create_token("ci", &options).await.unwrap();
        let mut token = made.token.clone();
        assert_eq!((token.full_id().as_str(), token.comment()), ("dave@pve!ci", Some("of CI")));
        assert!(token.is_privilege_separated() && token.expires().is_none());
        let mine = connect(&lab.simulator, made.auth());
        assert_eq!(pve::models::Server::all(&mine).await.unwrap().len(), 0);

        let whole = TokenOptions { privilege_separation: Some(false), ..Default::default() };
        token.update(&whole).await.unwrap();
        assert!(!token.is_privilege_separated());
        assert_eq!(pve::models::Server::all(&mine).await.unwrap().len(), 2);
        assert_eq!(user.tokens().await.unwrap().len(), 1);
        let renewed = token.regenerate().await;
        if version == pve_sim::Version::V9_2 {
            assert!(matches!(mine.nodes().await, Err(pve::Error::Unauthenticated(_))), "the old");
            let new = connect(&lab.simulator, renewed.unwrap().auth());
            assert_eq!(new.nodes().await.unwrap().len(), 2);
        } else {
            let error = renewed.unwrap_err();
            assert!(error.to_string().contains("regenerate"), "{error}");
        }
        token.destroy().await.unwrap();
        assert!(Token::get(client, "dave@pve", "ci").await.unwrap().is_none());
        let error = mine.nodes().await.unwrap_err();
        assert!(matches!(error, pve::Error::Unauthenticated(_)), "{error}");
    }
}

#[tokio::test]
async fn realms_are_made_changed_and_deleted() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let client = &lab.client;
        let options = [
            ("server1", "ldap.example.org"),
            ("base_dn", "dc=example,dc=org"),
            ("user_attr", "uid"),
        ];
        let mut domain = Domain::create(client, "ldap1", "ldap", options).await.unwrap();
        assert_eq!((domain.realm(), domain.kind()), ("ldap1", "ldap"));
        domain.update([("comment", "the directory")]).await.unwrap();
        assert_eq!(domain.comment(), Some("the directory"));
        let server = domain.attributes().text("server1");
        assert_eq!(server.as_deref(), Some("ldap.example.org"));
        let users = SyncRequest::new().scope("users").dry_run(true);
        let task = domain.sync(&users).begin().await.unwrap().unwrap();
        assert_eq!((task.upid().kind(), task.upid().id()), ("auth-realm-sync", "ldap1-test"));
        domain.sync(&SyncRequest::new().scope("both")).await.unwrap();
        let pve = Domain::get(client, "pve").await.unwrap().unwrap();
        assert!(pve.sync(&users).await.is_err(), "it has no directory");
        let mut kinds: Vec<String> = Vec::new();
        for domain in Domain::all(client).await.unwrap() {
            kinds.push(domain.kind().to_owned());
        }
        kinds.sort();
        assert_eq!(kinds, ["ldap", "pam", "pve"]);
        domain.destroy().await.unwrap();
        assert!(Domain::get(client, "ldap1").await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_refusal_names_path_and_privilege() {
    for version in RELEASES {
        let lab = Lab::start(version).await;
        let user = User::create(&lab.client, "eve@pve", &UserOptions::default()).await.unwrap();
        let whole = TokenOptions { privilege_separation: Some(false), ..Default::default() };
        let made = user.create_token("t1", &whole).await.unwrap();
        let eve = connect(&lab.simulator, made.auth());
        let one = pve::models::Server::get(&eve, "pve1", super::support::id(500)).await;
        let error = one.unwrap_err();
        assert_eq!(error.missing_privilege(), Some(("/vms/500", "VM.Audit")), "{error}");
        assert!(matches!(error.kind(), Some(Kind::Forbidden(Some(_)))));
    }
}
