//! Serves the native door over the in-memory provider, for clients that try it:
//! prints its address and an administrator's token, and ends with its standard
//! input.
#![allow(clippy::unwrap_used, reason = "it cannot go on without")]

use std::sync::Arc;

use api::{ConnectionLimits, native, serve};
use model::Role;
use model::time::SystemClock;
use provisioner::NewToken;
use secrecy::ExposeSecret;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() {
    let test = provisioner::testing::house().await;
    let admin = test.admin();
    let project = admin.project.clone();
    let new = NewToken { name: "client".to_owned(), project, role: Role::Admin, expires_at: None };
    let (_, token) = test.house.create_token(&admin, new).await.unwrap();
    let clock = Arc::new(SystemClock::new());
    let router = native::router(Arc::clone(&test.house), clock, native::Limits::default()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("http://{} {}", listener.local_addr().unwrap(), token.expose_secret());
    let stop = CancellationToken::new();
    let served = tokio::spawn(serve(listener, router, ConnectionLimits::default(), stop.clone()));
    let mut end = Vec::new();
    let _ = tokio::io::stdin().read_to_end(&mut end).await;
    test.house.close();
    stop.cancel();
    let _ = served.await;
}
