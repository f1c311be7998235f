//! Reads an upload: the fields before the file, then the file, which is counted
//! and hashed as it streams by. Never in memory as a whole.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use crate::engine::Upload;
use crate::world::guest::hex;

/// The longest head of a part, and the longest field.
const MAX_FIELD: usize = 64 * 1024;

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
            match self.body.frame().await {
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
            form.upload = Some(file(&mut reader, mark.as_bytes(), &filename).await?);
            form.fields.insert("filename".into(), Value::String(filename));
            // The rest must be read, or the client never sees the answer.
            while reader.more().await? {
                reader.buffer.clear();
            }
            return Ok(form);
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

async fn file(reader: &mut Reader, mark: &[u8], filename: &str) -> Result<Upload, ()> {
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let mut size = 0;
    let mut take = |part: &[u8]| {
        digest.update(part);
        size += part.len() as u64;
    };
    loop {
        if let Some(at) = find(&reader.buffer, mark) {
            let part = reader.buffer.split_to(at);
            take(&part);
            break;
        }
        // All but a possible beginning of the mark can go.
        let safe = reader.buffer.len().saturating_sub(mark.len());
        let part = reader.buffer.split_to(safe);
        take(&part);
        if !reader.more().await? {
            return Err(());
        }
    }
    let sha256 = hex(digest.finish().as_ref());
    Ok(Upload { filename: filename.to_owned(), size, sha256 })
}
