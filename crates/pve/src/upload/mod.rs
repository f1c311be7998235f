//! Uploads: multipart forms of known length, never whole in memory. Proxmox
//! refuses chunked requests (501), and the fields must come before the file.

mod source;

use std::io;

pub use source::{Upload, UploadProgress};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use reqwest::Body;
use reqwest::multipart::{Form, Part};

/// A file to upload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadRequest {
    /// `iso`, `vztmpl` or `import`.
    pub content: String,
    /// The name in the storage; its ending must fit the content.
    pub filename: String,
    /// Its exact length in bytes.
    pub length: u64,
    /// The expected checksum; a mismatch makes the task fail.
    pub checksum: Option<String>,
    /// Its algorithm: `sha256`, `sha512`, …
    pub checksum_algorithm: Option<String>,
}

/// The algorithms that Proxmox checks a file by.
const ALGORITHMS: [&str; 6] = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"];

impl UploadRequest {
    /// What is wrong with it, if anything.
    fn check(&self) -> Result<(), String> {
        if self.content.is_empty() {
            return Err("content: expected iso, vztmpl or import, got nothing".into());
        }
        let odd = |c: char| c == '/' || c == '"' || c.is_control();
        if self.filename.is_empty() || self.filename.contains(odd) {
            return Err("filename: expected a plain file name, without / or quotes".into());
        }
        match (&self.checksum, &self.checksum_algorithm) {
            (None, None) => Ok(()),
            (Some(_), None) => Err("checksum_algorithm: missing beside checksum".into()),
            (None, Some(_)) => Err("checksum: missing beside checksum_algorithm".into()),
            (Some(sum), _) if sum.is_empty() || !sum.bytes().all(|c| c.is_ascii_hexdigit()) => {
                Err("checksum: expected hex digits".into())
            }
            (Some(_), Some(name)) if ALGORITHMS.contains(&name.as_str()) => Ok(()),
            (Some(_), Some(name)) => {
                let known = ALGORITHMS.join(", ");
                Err(format!("checksum_algorithm: expected one of {known}, got '{name}'"))
            }
        }
    }
}

/// The fields, then the file.
fn form(
    request: &UploadRequest,
    file: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Form {
    let mut form = Form::new().text("content", request.content.clone());
    let checks =
        [("checksum-algorithm", &request.checksum_algorithm), ("checksum", &request.checksum)];
    for (name, value) in checks {
        if let Some(value) = value {
            form = form.text(name, value.clone());
        }
    }
    let stream = exact(file, request.length);
    let part = Part::stream_with_length(Body::wrap_stream(stream), request.length)
        .file_name(request.filename.clone());
    form.part("filename", part)
}

/// `file`, with an error where it is not `length` bytes long. The chunk that
/// completes it is held back until the end is seen: the request is over for
/// the HTTP library once the length is reached.
fn exact(
    file: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    length: u64,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    futures::stream::unfold((Box::pin(file), Some(length)), |(mut file, left)| async move {
        let left = left?;
        let (item, left) = match file.next().await {
            None if left == 0 => return None,
            None => (Err(wrong_length("ends early")), None),
            Some(Err(error)) => (Err(error), None),
            Some(Ok(chunk)) => {
                let size = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
                match left.checked_sub(size) {
                    None => (Err(wrong_length("goes on")), None),
                    Some(0) => (nothing_more(&mut file).await.map(|()| chunk), None),
                    rest => (Ok(chunk), rest),
                }
            }
        };
        Some((item, (file, left)))
    })
}

async fn nothing_more(
    file: &mut (impl Stream<Item = io::Result<Bytes>> + Unpin),
) -> io::Result<()> {
    while let Some(chunk) = file.next().await {
        if !chunk?.is_empty() {
            return Err(wrong_length("goes on"));
        }
    }
    Ok(())
}

fn wrong_length(what: &str) -> io::Error {
    io::Error::other(format!("the file {what}: it has not the length that was stated"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures::TryStreamExt;

    #[test]
    fn what_makes_no_sense_is_named() {
        let good = UploadRequest {
            content: "iso".into(),
            filename: "a.iso".into(),
            length: 1,
            checksum: Some("ab12".into()),
            checksum_algorithm: Some("sha256".into()),
        };
        assert_eq!(good.check(), Ok(()));
        type Spoil = fn(&mut UploadRequest);
        let bad: [(Spoil, &str); 6] = [
            (|r| r.content.clear(), "content:"),
            (|r| r.filename = "a/b.iso".into(), "filename:"),
            (|r| r.checksum = None, "checksum:"),
            (|r| r.checksum = Some("xyz".into()), "checksum:"),
            (|r| r.checksum_algorithm = None, "checksum_algorithm:"),
            (|r| r.checksum_algorithm = Some("crc".into()), "checksum_algorithm:"),
        ];
        for (spoil, name) in bad {
            let mut request = good.clone();
            spoil(&mut request);
            assert!(request.check().unwrap_err().starts_with(name), "{request:?}");
        }
    }

    async fn read(chunks: &[&'static [u8]], length: u64) -> io::Result<Vec<u8>> {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk))).collect();
        let stream = exact(futures::stream::iter(chunks), length);
        let parts: Vec<Bytes> = stream.try_collect().await?;
        Ok(parts.concat())
    }

    #[tokio::test]
    async fn files_must_have_their_stated_length() {
        assert_eq!(read(&[b"ab", b"c"], 3).await.unwrap(), b"abc");
        assert_eq!(read(&[], 0).await.unwrap(), b"");
        assert!(read(&[b"ab"], 3).await.is_err());
        assert!(read(&[b"ab", b"cd"], 3).await.is_err());
        assert!(read(&[b"abc", b"d"], 3).await.is_err());
        assert_eq!(read(&[b"abc", b""], 3).await.unwrap(), b"abc");
    }
}
