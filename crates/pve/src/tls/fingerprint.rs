//! SHA-256 fingerprints of certificates.

use std::fmt;
use std::str::FromStr;

use crate::ParseError;

/// The SHA-256 of a certificate. Written as Proxmox shows it: 32 pairs of hex
/// digits separated by colons; reading takes any case, and no colons too.
///
/// ```
/// let text = "AB:".repeat(31) + "0F";
/// let pin: pve::Fingerprint = text.to_lowercase().parse()?;
/// assert_eq!(pin.to_string(), text);
/// # Ok::<(), pve::ParseError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate in DER form.
    pub fn of_der(der: &[u8]) -> Self {
        let digest = ::aws_lc_rs::digest::digest(&::aws_lc_rs::digest::SHA256, der);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }
}

impl FromStr for Fingerprint {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fail = || ParseError::new(text, "a SHA-256 fingerprint (32 hex pairs)");
        let digits: String = text.trim().split(':').collect();
        let colons = text.trim().split(':').count();
        let proper = digits.len() == 64
            && digits.bytes().all(|c| c.is_ascii_hexdigit())
            && matches!(colons, 1 | 32);
        if !proper {
            return Err(fail());
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            let pair = digits.get(2 * index..2 * index + 2).ok_or_else(fail)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| fail())?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn fingerprints_read_in_both_forms() {
        let bare = "0123456789abcdef".repeat(4);
        let pin: Fingerprint = bare.parse().unwrap();
        assert!(pin.to_string().starts_with("01:23:45:67:89:AB:CD:EF:01"));
        assert_eq!(pin.to_string().parse::<Fingerprint>().unwrap(), pin);
        for bad in ["", "01:23", &bare[1..], &bare.replace('0', "g"), &format!("{bare}:")] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }
}
