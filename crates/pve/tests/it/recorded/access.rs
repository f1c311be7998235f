//! `/access`.

use pve::access::{
    Access, AclRequest, CreateUserRequest, DomainRequest, SyncRequest, TokenRequest,
    UpdateUserRequest,
};

use super::Typed;

pub async fn call(access: &Access, method: &str, rest: &[&str]) -> Typed {
    let result = match (method, rest) {
        ("GET", ["permissions"]) => access.permissions(None).await.map(drop),
        ("GET", ["users"]) => access.users(None, false).await.map(drop),
        ("POST", ["users"]) => access.create_user(&CreateUserRequest::new("x@pve")).await,
        ("PUT", ["password"]) => access.change_password("x@pve", "12345678".into(), None).await,
        ("GET", ["groups"]) => access.groups().await.map(drop),
        ("POST", ["groups"]) => access.create_group("x", None).await,
        ("GET", ["groups", name]) => access.group(name).get().await.map(drop),
        ("PUT", ["groups", name]) => access.group(name).update("x").await,
        ("DELETE", ["groups", name]) => access.group(name).delete().await,
        ("GET", ["roles"]) => access.roles().await.map(drop),
        ("POST", ["roles"]) => access.create_role("x", &[]).await,
        ("GET", ["roles", name]) => access.role(name).get().await.map(drop),
        ("PUT", ["roles", name]) => access.role(name).update(&[], false).await,
        ("DELETE", ["roles", name]) => access.role(name).delete().await,
        ("GET", ["acl"]) => access.acl().await.map(drop),
        ("PUT", ["acl"]) => access.change_acl(&AclRequest::new("/", "x")).await,
        ("GET", ["domains"]) => access.domains().await.map(drop),
        ("POST", ["domains"]) => access.domain("x").create(&DomainRequest::new()).await,
        ("GET", ["domains", name]) => access.domain(name).get().await.map(drop),
        ("PUT", ["domains", name]) => access.domain(name).update(&DomainRequest::new()).await,
        ("DELETE", ["domains", name]) => access.domain(name).delete().await,
        ("POST", ["domains", name, "sync"]) => {
            access.domain(name).sync(&SyncRequest::new()).await.map(drop)
        }
        ("GET", ["tfa"]) => access.tfa().await.map(drop),
        (_, ["users", userid, rest @ ..]) => return user(access, userid, method, rest).await,
        _ => return None,
    };
    Some(result)
}

async fn user(access: &Access, userid: &str, method: &str, rest: &[&str]) -> Typed {
    let user = access.user(userid);
    let request = TokenRequest::new();
    let result = match (method, rest) {
        ("GET", []) => user.get().await.map(drop),
        ("PUT", []) => user.update(&UpdateUserRequest::new()).await,
        ("DELETE", []) => user.delete().await,
        ("GET", ["token"]) => user.tokens().await.map(drop),
        ("GET", ["token", name]) => user.token(name).get().await.map(drop),
        ("POST", ["token", name]) => user.token(name).create(&request).await.map(drop),
        ("PUT", ["token", name]) => user.token(name).update(&request).await.map(drop),
        ("DELETE", ["token", name]) => user.token(name).delete().await,
        _ => return None,
    };
    Some(result)
}
