//! The SMBIOS type 1 strings of a virtual machine.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{PropertyError, PropertyString, view};

/// The text fields, which are base64 where `base64=1` says so.
const TEXTS: [&str; 6] = ["version", "serial", "manufacturer", "product", "sku", "family"];

view! {
    /// What a guest reads as its system's identity: `uuid=…`, and texts.
    ///
    /// ```
    /// use pve::property::Smbios1;
    /// let mut smbios = Smbios1::with_uuid("c74d5326-7922-4c57-a238-004489f2fcd4")?;
    /// smbios.set_text("serial", "ds=nocloud-net;s=https://[fd00::1]/x,y/")?;
    /// let again: Smbios1 = smbios.to_string().parse()?;
    /// assert_eq!(again.text("serial").as_deref(), Some("ds=nocloud-net;s=https://[fd00::1]/x,y/"));
    /// # Ok::<(), pve::property::PropertyError>(())
    /// ```
    Smbios1, "qemu/smbios1", |_| Ok(())
}

impl Smbios1 {
    /// Just a UUID.
    ///
    /// # Errors
    /// When it would break the format.
    pub fn with_uuid(uuid: &str) -> Result<Self, PropertyError> {
        let mut properties = PropertyString::new();
        properties.set("uuid", uuid)?;
        Ok(Self(properties))
    }

    /// The UUID, as written.
    pub fn uuid(&self) -> Option<&str> {
        self.0.get("uuid")
    }

    /// Are the texts base64?
    pub fn is_base64(&self) -> bool {
        self.0.flag("base64").unwrap_or(false)
    }

    /// A text field (`serial`, `manufacturer`, `product`, `version`, `sku`,
    /// `family`), decoded. `None` when it is absent or not decodable.
    pub fn text(&self, field: &str) -> Option<String> {
        let value = self.0.get(field)?;
        if !self.is_base64() {
            return Some(value.to_owned());
        }
        String::from_utf8(STANDARD.decode(value).ok()?).ok()
    }

    /// Sets a text field; it may hold anything. From then on all text fields
    /// are stored as base64.
    ///
    /// # Errors
    /// When `field` is no text field.
    pub fn set_text(&mut self, field: &str, text: &str) -> Result<(), PropertyError> {
        if !TEXTS.contains(&field) {
            return Err(PropertyError::Value {
                name: "smbios1",
                value: field.to_owned(),
                expected: "serial, manufacturer, product, version, sku or family",
            });
        }
        if !self.is_base64() {
            for field in TEXTS {
                if let Some(plain) = self.0.get(field) {
                    let encoded = STANDARD.encode(plain);
                    self.0.set(field, encoded)?;
                }
            }
            self.0.set("base64", true)?;
        }
        self.0.set(field, STANDARD.encode(text))
    }
}
