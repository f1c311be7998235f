//! Where an upload's bytes come from.

use std::fmt;
use std::io;
use std::path::Path;

use bytes::Bytes;
use futures::stream::{BoxStream, Stream, StreamExt, TryStreamExt};
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

use super::{UploadRequest, form};
use crate::storage::NodeStorage;
use crate::{Error, Upid};

/// How much of a reader is read at once: 64 KiB. So much and what the
/// connection has not sent yet is in memory, however large the file is.
const CHUNK: usize = 64 * 1024;

/// How far an upload has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadProgress {
    /// Bytes of the file that were handed to the connection.
    pub sent: u64,
    /// Bytes of the file in all.
    pub total: u64,
}

type OnProgress = Box<dyn FnMut(UploadProgress) + Send>;

/// A file on its way into a storage.
///
/// ```no_run
/// # async fn example(storage: pve::storage::NodeStorage) -> Result<(), pve::Error> {
/// use pve::Upload;
/// let upload = Upload::from_file("iso", "/tmp/debian.iso").await?
///     .checksum("sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
///     .on_progress(|at| eprintln!("{} of {} bytes", at.sent, at.total));
/// let task = storage.upload_from(upload).await?;
/// # let _ = task;
/// # Ok(())
/// # }
/// ```
pub struct Upload {
    request: UploadRequest,
    file: BoxStream<'static, io::Result<Bytes>>,
    on_progress: Option<OnProgress>,
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Upload").field(&self.request).finish()
    }
}

impl Upload {
    /// What a stream yields, `request.length` bytes in all.
    pub fn from_stream<S, E>(request: UploadRequest, file: S) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        Self { request, file: file.map_err(io::Error::other).boxed(), on_progress: None }
    }

    /// What a reader has, `request.length` bytes in all. It is read as fast as
    /// the server takes it, in pieces of 64 KiB.
    pub fn from_reader(request: UploadRequest, reader: impl AsyncRead + Send + 'static) -> Self {
        let file = ReaderStream::with_capacity(reader, CHUNK).boxed();
        Self { request, file, on_progress: None }
    }

    /// A file, under its own name. `content` is `iso`, `vztmpl` or `import`.
    ///
    /// # Errors
    /// [`Error::Config`] names the file when it cannot be opened, is no
    /// regular file, or has a name that is not UTF-8.
    pub async fn from_file(
        content: impl Into<String>,
        path: impl AsRef<Path>,
    ) -> Result<Self, Error> {
        let path = path.as_ref();
        let fail =
            |what: &dyn fmt::Display| Error::Config(format!("upload: {}: {what}", path.display()));
        let file = tokio::fs::File::open(path).await.map_err(|error| fail(&error))?;
        let about = file.metadata().await.map_err(|error| fail(&error))?;
        if !about.is_file() {
            return Err(fail(&"is not a regular file"));
        }
        let name = path.file_name().and_then(|name| name.to_str());
        let request = UploadRequest {
            content: content.into(),
            filename: name.ok_or_else(|| fail(&"its name is not UTF-8"))?.to_owned(),
            length: about.len(),
            ..UploadRequest::default()
        };
        Ok(Self::from_reader(request, file))
    }

    /// Under another name in the storage.
    #[must_use]
    pub fn filename(mut self, name: impl Into<String>) -> Self {
        self.request.filename = name.into();
        self
    }

    /// With a checksum that the server compares; a mismatch makes the task
    /// fail. `algorithm` is `md5`, `sha1`, `sha224`, `sha256`, `sha384` or
    /// `sha512`.
    #[must_use]
    pub fn checksum(mut self, algorithm: impl Into<String>, sum: impl Into<String>) -> Self {
        self.request.checksum_algorithm = Some(algorithm.into());
        self.request.checksum = Some(sum.into());
        self
    }

    /// Calls this whenever a piece was handed to the connection. It must not
    /// block.
    #[must_use]
    pub fn on_progress(mut self, report: impl FnMut(UploadProgress) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(report));
        self
    }

    /// What is sent.
    pub fn request(&self) -> &UploadRequest {
        &self.request
    }
}

/// `file`, with a report of each piece.
fn reported(
    file: BoxStream<'static, io::Result<Bytes>>,
    total: u64,
    report: Option<OnProgress>,
) -> BoxStream<'static, io::Result<Bytes>> {
    let Some(mut report) = report else {
        return file;
    };
    let mut sent = 0_u64;
    file.inspect_ok(move |chunk| {
        sent = sent.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        report(UploadProgress { sent, total });
    })
    .boxed()
}

impl NodeStorage {
    /// Uploads a file, streamed with an exact length. The task that is
    /// answered moves it into place.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] names what makes no sense, before anything is
    /// sent; the rest as [`Client::request`](crate::Client::request). When the
    /// file ends early, goes on for too long or cannot be read, the upload is
    /// broken off. It is sent once, to one endpoint: what has been read cannot
    /// be read again.
    pub async fn upload_from(&self, upload: Upload) -> Result<Upid, Error> {
        let Upload { request, file, on_progress } = upload;
        let path = self.0.path.sub("upload");
        if let Err(reason) = request.check() {
            let call = self.0.client.checked(http::Method::POST, &path)?;
            return Err(Error::InvalidRequest { call, reason });
        }
        let form = form(&request, reported(file, request.length, on_progress));
        self.0.client.send_multipart(&path, form).await?.started()
    }
}
