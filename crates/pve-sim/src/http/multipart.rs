//! Reads an upload: the fields before the file, then the file, which is counted
//! and hashed as it streams by. Never in memory as a whole.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use crate::engine::{Digests, Upload};
use crate::world::guest::hex;

/// The longest head of a part, and the longest field.
const MAX_FIELD: usize = 64 * 1024;

/// Fields at most. The upload's schema knows seven names.
const MAX_FIELDS: usize = 64;

/// What an upload held.
#[derive(Debug, Default)]
pub(crate) struct Form {
    pub fields: BTreeMap<String, Value>,
    pub upload: Option<Upload>,
}

/// The boundary named by a Content-Type header.
pub(crate) fn boundary(content_type: &str) -> Option<String> {
    let rest = content_type.strip_prefix("multipart/form-data")?;
    let value = rest.split(';').find_map(|part| part.trim().strip_prefix("boundary="))?;
    let value = value.trim_matches('"');
    (!value.is_empty() && value.len() <= 200).then(|| value.to_owned())
}

struct Reader {
    body: Incoming,
    buffer: BytesMut,
    ended: bool,
}

impl Reader {
    /// Reads more; `false` at the end of the body.
    async fn more(&mut self) -> Result<bool, ()> {
        while !self.ended {
            let frame = tokio::time::timeout(super::PATIENCE, self.body.frame());
            match frame.await.map_err(|_| ())? {
                None => self.ended = true,
                Some(Err(_)) => return Err(()),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }

    /// Takes what comes before `mark`, which is dropped. At most `limit` bytes.
    async fn until(&mut self, mark: &[u8], limit: usize) -> Result<Bytes, ()> {
        loop {
            if let Some(at) = find(&self.buffer, mark) {
                let part = self.buffer.split_to(at).freeze();
                let _ = self.buffer.split_to(mark.len());
                return Ok(part);
            }
            if self.buffer.len() > limit || !self.more().await? {
                return Err(());
            }
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Reads the whole form. After the file part nothing more is read, as pveproxy does.
pub(crate) async fn read(body: Incoming, boundary: &str) -> Result<Form, ()> {
    let mut reader = Reader { body, buffer: BytesMut::new(), ended: false };
    let mut form = Form::default();
    let mark = format!("\r\n--{boundary}");
    let first = format!("--{boundary}");
    reader.until(first.as_bytes(), MAX_FIELD).await?;
    loop {
        let end = reader.until(b"\r\n", MAX_FIELD).await?;
        if end.starts_with(b"--") {
            return Ok(form);
        }
        let head = reader.until(b"\r\n\r\n", MAX_FIELD).await?;
        let head = String::from_utf8_lossy(&head).into_owned();
        let name = attribute(&head, "name").unwrap_or_default();
        if let Some(filename) = attribute(&head, "filename") {
            let algorithm = form.fields.get("checksum-algorithm").and_then(Value::as_str);
            form.upload = Some(file(&mut reader, mark.as_bytes(), &filename, algorithm).await?);
            form.fields.insert("filename".into(), Value::String(filename));
            // The rest must be read, or the client never sees the answer.
            while reader.more().await? {
                reader.buffer.clear();
            }
            return Ok(form);
        }
        if form.fields.len() == MAX_FIELDS {
            return Err(());
        }
        let value = reader.until(mark.as_bytes(), MAX_FIELD).await?;
        form.fields.insert(name, Value::String(String::from_utf8_lossy(&value).into_owned()));
    }
}

fn attribute(head: &str, name: &str) -> Option<String> {
    let line =
        head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
    line.split(';').find_map(|part| {
        let value = part.trim().strip_prefix(name)?.strip_prefix('=')?;
        Some(value.trim_matches('"').to_owned())
    })
}

/// Checksums, size and first bytes of a file that streams by.
pub(crate) struct Summary {
    contexts: Vec<(&'static str, aws_lc_rs::digest::Context)>,
    size: u64,
    head: Vec<u8>,
}

/// How many first bytes are kept: enough for the mark and the size of an image.
const HEAD: usize = 32;

impl Summary {
    pub fn new() -> Self {
        use aws_lc_rs::digest::{
            Context, SHA1_FOR_LEGACY_USE_ONLY, SHA224, SHA256, SHA384, SHA512,
        };
        let contexts = vec![
            ("sha1", Context::new(&SHA1_FOR_LEGACY_USE_ONLY)),
            ("sha224", Context::new(&SHA224)),
            ("sha256", Context::new(&SHA256)),
            ("sha384", Context::new(&SHA384)),
            ("sha512", Context::new(&SHA512)),
        ];
        Self { contexts, size: 0, head: Vec::new() }
    }

    /// Keeps one algorithm alone.
    pub fn only(&mut self, algorithm: &str) {
        self.contexts.retain(|(name, _)| *name == algorithm);
    }

    pub fn add(&mut self, part: &[u8]) {
        for (_, context) in &mut self.contexts {
            context.update(part);
        }
        self.size += part.len() as u64;
        let missing = HEAD.saturating_sub(self.head.len()).min(part.len());
        self.head.extend_from_slice(&part[..missing]);
    }

    /// Size, checksums and first bytes.
    pub fn finish(self) -> (u64, Digests, Vec<u8>) {
        let digests = self.contexts.into_iter();
        let digests =
            digests.map(|(name, context)| (name.to_owned(), hex(context.finish().as_ref())));
        (self.size, digests.collect(), self.head)
    }
}

async fn file(
    reader: &mut Reader,
    mark: &[u8],
    filename: &str,
    algorithm: Option<&str>,
) -> Result<Upload, ()> {
    let mut summary = Summary::new();
    // One algorithm is named before the file, or none is asked for.
    summary.only(algorithm.unwrap_or_default());
    loop {
        if let Some(at) = find(&reader.buffer, mark) {
            let part = reader.buffer.split_to(at);
            summary.add(&part);
            break;
        }
        // All but a possible beginning of the mark can go.
        let safe = reader.buffer.len().saturating_sub(mark.len());
        let part = reader.buffer.split_to(safe);
        summary.add(&part);
        if !reader.more().await? {
            return Err(());
        }
    }
    let (size, digests, head) = summary.finish();
    Ok(Upload { filename: filename.to_owned(), size, digests, head })
}
