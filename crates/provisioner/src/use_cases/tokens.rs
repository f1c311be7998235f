//! Bearer tokens of the native door.
//!
//! A token reads `ink_<id>_<secret>`: the id finds the row, and the secret is
//! kept only as an argon2id hash. A token that was verified is remembered by
//! its SHA-256 for a short while, because argon2id is slow on purpose.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{Caller, Door, Error, Principal, ProjectId, Role, Timestamp, TokenId};
use secrecy::{ExposeSecret, SecretString};
use store::{Change, Token};
use tokio::sync::Semaphore;

use super::audit::Asked;
use super::instances::token_hash;
use super::public;
use crate::house::House;

/// A token to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// A name for people.
    pub name: String,
    /// The project that it acts for.
    pub project: ProjectId,
    /// What it may do.
    pub role: Role,
    /// When it ends; `None`: never.
    pub expires_at: Option<Timestamp>,
}

/// A token without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenInfo {
    /// Its id.
    pub id: TokenId,
    /// Its name.
    pub name: String,
    /// The project that it acts for.
    pub project: ProjectId,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// How long the slow hash of a token is not computed again, and how long a token
/// is known while the data base does not answer.
const TRUST: Duration = Duration::from_secs(3600);
/// How long the row of a verified token is not read again: a revocation takes
/// effect at once where it was made, and within this in other replicas.
const FRESH: Duration = Duration::from_secs(1);
/// How long a verified token waits for its row before the row that was read last
/// stands: reads are answered while the data base is away.
const PATIENCE: Duration = Duration::from_millis(500);
/// How many verified tokens are remembered.
const REMEMBERED: usize = 4096;

/// A token that was verified.
#[derive(Clone)]
struct Verified {
    /// Its row as it was read last.
    row: Token,
    /// When its slow hash was computed.
    verified: Duration,
    /// When its row was read.
    read: Duration,
}

/// Tokens that were verified lately, by the hash of the whole token.
pub(crate) struct VerifiedTokens {
    verified: Mutex<HashMap<String, Verified>>,
    /// One slow hash takes 19 MiB and a good part of a core: only so many at once.
    slow: Semaphore,
}

impl Default for VerifiedTokens {
    fn default() -> Self {
        Self { verified: Mutex::default(), slow: Semaphore::new(4) }
    }
}

impl VerifiedTokens {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Verified>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, hash: &str, now: Duration) -> Option<Verified> {
        let known = self.lock().get(hash).cloned()?;
        (now.saturating_sub(known.verified) < TRUST).then_some(known)
    }

    fn remember(&self, hash: String, known: Verified) {
        let mut verified = self.lock();
        if verified.len() >= REMEMBERED {
            verified.clear();
        }
        verified.insert(hash, known);
    }

    fn forget(&self, id: TokenId) {
        self.lock().retain(|_, known| known.row.id != id);
    }
}

impl House {
    /// Makes a token. Its secret is answered once and kept nowhere.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] naming the field; [`Error::Forbidden`] unless an
    /// administrator asks.
    pub async fn create_token(
        &self,
        caller: &Caller,
        request: NewToken,
    ) -> Result<(TokenInfo, SecretString), Error> {
        caller.require(Role::Admin)?;
        let name = &request.name;
        if name.is_empty() || name.chars().count() > 63 || name.chars().any(char::is_control) {
            return Err(Error::invalid("name", "expected 1 to 63 printable characters"));
        }
        let now = self.core.clock.now();
        if request.expires_at.is_some_and(|at| at <= now) {
            return Err(Error::invalid("expires_at", "expected a time in the future"));
        }
        let (token, row) = self.new_token(request, now).await?;
        let info = info(&row);
        let target = info.id.to_string();
        let asked = Asked { action: "token.create", target: &target, operation: None };
        let put = vec![Change::PutToken(Box::new(row))];
        self.commit(caller, asked, put).await.map_err(public)?;
        Ok((info, token))
    }

    async fn new_token(
        &self,
        request: NewToken,
        now: Timestamp,
    ) -> Result<(SecretString, Token), Error> {
        let id = TokenId::generate(&*self.core.clock, &*self.core.random);
        let (mut secret, mut salt) = ([0u8; 32], [0u8; 16]);
        self.core.random.fill(&mut secret);
        self.core.random.fill(&mut salt);
        let secret = URL_SAFE_NO_PAD.encode(secret);
        let token = SecretString::from(format!("ink_{}_{secret}", id.as_uuid().simple()));
        let hash = tokio::task::spawn_blocking(move || hash(&secret, &salt))
            .await
            .map_err(Error::internal)??;
        let row = Token {
            id,
            name: request.name,
            project: request.project,
            role: request.role,
            secret_hash: hash,
            created_at: now,
            expires_at: request.expires_at,
            revoked_at: None,
        };
        Ok((token, row))
    }

    /// All tokens, without their secrets.
    ///
    /// # Errors
    /// [`Error::Forbidden`] unless an administrator asks.
    pub async fn tokens(&self, caller: &Caller) -> Result<Vec<TokenInfo>, Error> {
        caller.require(Role::Admin)?;
        let rows = self.core.store.tokens().await.map_err(public)?;
        Ok(rows.iter().map(info).collect())
    }

    /// Ends a token.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Forbidden`] unless an administrator asks.
    pub async fn revoke_token(&self, caller: &Caller, id: TokenId) -> Result<(), Error> {
        caller.require(Role::Admin)?;
        if self.core.store.token(id).await.map_err(public)?.is_none() {
            return Err(Error::not_found("token", id));
        }
        let target = id.to_string();
        let asked = Asked { action: "token.revoke", target: &target, operation: None };
        self.commit(caller, asked, vec![Change::RevokeToken(id)]).await.map_err(public)?;
        self.verified.forget(id);
        Ok(())
    }

    /// Whether the token of a caller is good still, for what answers for long.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] once it has ended; [`Error::Unavailable`].
    pub async fn still_valid(&self, caller: &Caller) -> Result<(), Error> {
        let Ok(id) = caller.principal.id.parse::<TokenId>() else { return Ok(()) };
        let row = self.core.store.token(id).await.map_err(public)?;
        match row.is_some_and(|row| self.is_good(&row)) {
            true => Ok(()),
            false => Err(Error::Unauthenticated { message: "the token has ended".to_owned() }),
        }
    }

    fn is_good(&self, row: &Token) -> bool {
        let ended = row.expires_at.is_some_and(|at| at <= self.core.clock.now());
        !ended && row.revoked_at.is_none()
    }

    /// Who presents this bearer token.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], the same for every reason.
    pub async fn authenticate(&self, bearer: &SecretString, door: Door) -> Result<Caller, Error> {
        let refused =
            || Error::Unauthenticated { message: "expected a valid bearer token".to_owned() };
        let text = bearer.expose_secret();
        let (id, secret) = parse(text).ok_or_else(refused)?;
        let (hash, now) = (token_hash(text), self.core.clock.monotonic());
        let known = self.verified.known(&hash, now);
        let (row, read) = match &known {
            // As fresh as it was: else a token in steady use would never be read.
            Some(known) if now.saturating_sub(known.read) < FRESH => {
                (known.row.clone(), known.read)
            }
            known => (self.token_row(id, known.as_ref()).await?.ok_or_else(refused)?, now),
        };
        if !self.is_good(&row) {
            return Err(refused());
        }
        let verified = match known {
            Some(known) => known.verified,
            None if self.is_secret(secret, &row).await? => now,
            None => return Err(refused()),
        };
        self.verified.remember(hash, Verified { row: row.clone(), verified, read });
        let principal = Principal { id: row.id.to_string(), name: row.name };
        Ok(Caller::new(principal, row.project, door, row.role))
    }

    /// The row of a token. One that is known stands for it while the data base does
    /// not answer.
    async fn token_row(
        &self,
        id: TokenId,
        known: Option<&Verified>,
    ) -> Result<Option<Token>, Error> {
        let reading = self.core.store.token(id);
        let Some(known) = known else { return reading.await.map_err(public) };
        match tokio::time::timeout(PATIENCE, reading).await {
            Ok(Err(store::Error::Unavailable(_) | store::Error::Busy)) | Err(_) => {
                Ok(Some(known.row.clone()))
            }
            Ok(row) => row.map_err(public),
        }
    }

    /// Whether the slow hash of a token's secret is the one in its row.
    async fn is_secret(&self, secret: &str, row: &Token) -> Result<bool, Error> {
        let (secret, stored) = (secret.to_owned(), row.secret_hash.clone());
        // The semaphore is never closed.
        let _turn = self.verified.slow.acquire().await.map_err(Error::internal)?;
        tokio::task::spawn_blocking(move || verify(&secret, &stored)).await.map_err(Error::internal)
    }
}

fn info(row: &Token) -> TokenInfo {
    TokenInfo {
        id: row.id,
        name: row.name.clone(),
        project: row.project.clone(),
        role: row.role,
        created_at: row.created_at,
        expires_at: row.expires_at,
        revoked_at: row.revoked_at,
    }
}

fn parse(token: &str) -> Option<(TokenId, &str)> {
    let (id, secret) = token.strip_prefix("ink_")?.split_once('_')?;
    (id.len() == 32 && secret.len() == 43).then_some(())?;
    Some((id.parse().ok()?, secret))
}

fn hash(secret: &str, salt: &[u8]) -> Result<String, Error> {
    let salt = SaltString::encode_b64(salt).map_err(|error| Error::internal(error.to_string()))?;
    Argon2::default()
        .hash_password(secret.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|error| Error::internal(error.to_string()))
}

fn verify(secret: &str, stored: &str) -> bool {
    PasswordHash::new(stored)
        .is_ok_and(|hash| Argon2::default().verify_password(secret.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests;
