//! Texts with rules of their own: tags and SSH keys.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// Tags, as a set. They are separated by `;`, `,` or blanks, depending on who
/// wrote them; they print with `;`, sorted.
///
/// ```
/// use pve::property::Tags;
/// let tags: Tags = "web prod,,eu".parse().unwrap();
/// assert_eq!(tags.to_string(), "eu;prod;web");
/// assert_eq!(tags, "prod;eu;web".parse().unwrap());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tags(pub BTreeSet<String>);

impl Tags {
    /// Is the tag there?
    pub fn has(&self, tag: &str) -> bool {
        self.0.contains(tag)
    }
}

impl<S: Into<String>> FromIterator<S> for Tags {
    fn from_iter<I: IntoIterator<Item = S>>(tags: I) -> Self {
        Self(tags.into_iter().map(Into::into).collect())
    }
}

impl FromStr for Tags {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(crate::qemu::split_tags(text).into_iter().collect())
    }
}

impl fmt::Display for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, tag) in self.0.iter().enumerate() {
            write!(f, "{}{tag}", if index > 0 { ";" } else { "" })?;
        }
        Ok(())
    }
}

/// SSH keys, one per line, as `sshkeys` wants them: percent-encoded once, in
/// addition to the encoding of the form that they are sent in.
pub fn encode_ssh_keys(keys: &str) -> String {
    percent_encoding::utf8_percent_encode(keys, crate::path::ENCODED).to_string()
}

/// SSH keys from the value of `sshkeys`, one per line, without a final newline.
/// What is no UTF-8 is replaced.
pub fn decode_ssh_keys(value: &str) -> String {
    let text = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
    text.trim_end_matches('\n').to_owned()
}
