//! Sealing secrets at rest: AES-256-GCM under one key of the installation.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::SecretId;
use secrecy::SecretString;
use zeroize::{Zeroize as _, Zeroizing};

use crate::Error;

const KEY_LEN: usize = 32;
/// The version of the envelope: `1.<key id>.<base64 of nonce and sealed text>`.
const VERSION: &str = "1";

/// The key of the installation.
pub(crate) struct Key {
    id: String,
    key: LessSafeKey,
}

impl Key {
    fn new(bytes: &[u8; KEY_LEN]) -> Result<Self, Error> {
        let unusable = |_| Error::Corrupt("the key cannot be used".to_owned());
        let mut hashed = digest::Context::new(&digest::SHA256);
        hashed.update(b"innkeeper key id");
        hashed.update(bytes);
        let id = hex(&hashed.finish().as_ref()[..8]);
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).map_err(unusable)?);
        Ok(Self { id, key })
    }

    /// Says which key it is without saying anything about it.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Seals a secret for the place with this id: there only it can be opened.
    pub(crate) fn seal(&self, place: &str, secret: &str) -> Result<String, Error> {
        let failed = |_| Error::Unavailable("sealing a secret failed".to_owned());
        let mut nonce = [0u8; NONCE_LEN];
        rand::fill(&mut nonce).map_err(failed)?;
        // Sealed in place: what is left in the buffer is not the secret.
        let mut buffer = secret.as_bytes().to_vec();
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_append_tag(nonce_used, self.bound_to(place), &mut buffer)
            .map_err(failed)?;
        let mut sealed = nonce.to_vec();
        sealed.extend_from_slice(&buffer);
        Ok(format!("{VERSION}.{}.{}", self.id, STANDARD.encode(sealed)))
    }

    /// Opens what was sealed for this place.
    pub(crate) fn open(&self, place: &str, envelope: &str) -> Result<SecretString, Error> {
        let corrupt = |why: &str| Error::Corrupt(format!("secret {place}: {why}"));
        let mut parts = envelope.splitn(3, '.');
        let (Some(VERSION), Some(key_id), Some(sealed)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(corrupt("not an envelope that this version knows"));
        };
        if key_id != self.id {
            return Err(corrupt(&format!("sealed with key {key_id}, ours is {}", self.id)));
        }
        let mut sealed = STANDARD.decode(sealed).map_err(|_| corrupt("not base64"))?;
        if sealed.len() < NONCE_LEN {
            return Err(corrupt("too short"));
        }
        let nonce = Nonce::try_assume_unique_for_key(&sealed[..NONCE_LEN])
            .map_err(|_| corrupt("no nonce"))?;
        let opened = self
            .key
            .open_in_place(nonce, self.bound_to(place), &mut sealed[NONCE_LEN..])
            .map_err(|_| corrupt("it has been altered"));
        let secret = opened.and_then(|text| {
            std::str::from_utf8(text).map_err(|_| corrupt("not a text")).map(SecretString::from)
        });
        sealed.zeroize();
        secret
    }

    fn bound_to(&self, place: &str) -> Aad<Vec<u8>> {
        Aad::from(format!("{} {place}", self.id).into_bytes())
    }
}

/// The place of a secret that has a row of its own.
pub(crate) fn place_of(id: SecretId) -> String {
    id.to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; KEY_LEN]> {
    let text = text.trim();
    if text.len() != 2 * KEY_LEN || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0u8; KEY_LEN];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}

/// The key in this file, which is made when it is absent.
pub(crate) fn key_in(path: &Path) -> Result<Key, Error> {
    let away = |what: &str, error: std::io::Error| {
        Error::Unavailable(format!("{what} the key file {}: {error}", path.display()))
    };
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return make_key(path),
        Err(error) => return Err(away("cannot look at", error)),
        Ok(metadata) => {
            if metadata.permissions().mode() & 0o077 != 0 {
                tracing::warn!(
                    file = %path.display(),
                    "others than its owner can use the key file: chmod 600 it"
                );
            }
        }
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(|e| away("cannot read", e))?);
    let bytes = unhex(&text).map(Zeroizing::new).ok_or_else(|| {
        Error::Corrupt(format!(
            "the key file {} does not hold {} hexadecimal digits",
            path.display(),
            2 * KEY_LEN
        ))
    })?;
    Key::new(&bytes)
}

/// Makes the key file. It is complete before it has its name.
fn make_key(path: &Path) -> Result<Key, Error> {
    let away = |error: std::io::Error| {
        Error::Unavailable(format!("cannot write the key file {}: {error}", path.display()))
    };
    let mut bytes = Zeroizing::new([0u8; KEY_LEN]);
    rand::fill(bytes.as_mut())
        .map_err(|_| Error::Unavailable("the system gives no random bytes".to_owned()))?;
    let text = Zeroizing::new(hex(bytes.as_ref()) + "\n");
    let draft = path.with_extension(format!("key.{}", std::process::id()));
    let _ = fs::remove_file(&draft);
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(away)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    // A link, unlike a rename, does not replace a key that came meanwhile.
    let linked = written.and_then(|()| fs::hard_link(&draft, path));
    let _ = fs::remove_file(&draft);
    match linked {
        Ok(()) => Key::new(&bytes),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => key_in(path),
        Err(error) => Err(away(error)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_secret_opens_only_with_its_key_in_its_place_and_unaltered() {
        let key = Key::new(&[7; KEY_LEN]).unwrap();
        let envelope = key.seal("here", "hunter2").unwrap();
        assert!(!envelope.contains("hunter2"));
        assert_eq!(key.open("here", &envelope).unwrap().expose_secret(), "hunter2");
        assert!(key.open("there", &envelope).is_err());
        let other = Key::new(&[8; KEY_LEN]).unwrap();
        assert!(other.open("here", &envelope).unwrap_err().to_string().contains(other.id()));
        let mut flipped = envelope.clone().into_bytes();
        let middle = flipped.len() - 10;
        flipped[middle] = if flipped[middle] == b'A' { b'B' } else { b'A' };
        let flipped = String::from_utf8(flipped).unwrap();
        assert!(key.open("here", &flipped).is_err());
        assert!(key.open("here", "1.x").is_err());
    }

    #[test]
    fn the_key_file_is_made_once_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.key");
        let first = key_in(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(key_in(&path).unwrap().id(), first.id());
        fs::write(&path, "abcd").unwrap();
        let error = key_in(&path).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("64 hexadecimal digits"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
