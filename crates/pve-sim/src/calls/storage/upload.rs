//! `POST /nodes/{node}/storage/{storage}/upload`

use serde_json::Value;

use super::Plain;
use crate::engine::{Call, Digests};
use crate::fail::Fail;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;
use crate::world::storage::{Key, Volume, volid};

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    (verb == "POST" && path == "/{storage}/upload").then_some(upload)
}

/// The format that a file's name says, as content lists show it; `None` when a
/// file of this kind must not have such a name.
fn format_of(kind: &str, name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let endings: &[(&str, &str)] = match kind {
        "iso" => &[(".iso", "iso"), (".img", "iso")],
        "vztmpl" => &[
            (".tar.gz", "tgz"),
            (".tgz", "tgz"),
            (".tar.xz", "txz"),
            (".tar.zst", "tzst"),
            (".tar.bz2", "tbz2"),
        ],
        _ => &[
            (".ova", "ova+ova"),
            (".ovf", "ovf"),
            (".qcow2", "qcow2"),
            (".raw", "raw"),
            (".vmdk", "vmdk"),
        ],
    };
    endings.iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, format)| *format)
}

/// A file that is on its way into a storage.
pub(super) struct Incoming {
    pub key: Key,
    pub kind: String,
    pub format: &'static str,
    /// The algorithm and the checksum that was promised.
    pub checksum: Option<(String, String)>,
}

/// Checks the parameters that uploads and downloads share.
pub(super) fn incoming(call: &Call<'_>, filename: &str) -> Result<Incoming, Fail> {
    let params = call.params;
    let (node, id) = (params.node(), params.text("storage"));
    let storage = call.world.storage_on(node, id)?;
    let kind = params.text("content").to_owned();
    if !storage.content.contains(&kind) {
        return Err(Fail::new(format!("storage '{id}' does not support '{kind}' content")));
    }
    let name = filename.rsplit(['/', '\\']).next().unwrap_or_default();
    // Characters that a file's name may not have become underscores.
    let name: String = name
        .chars()
        .map(|letter| match letter {
            letter if letter.is_ascii_alphanumeric() || "-_.+=~".contains(letter) => letter,
            _ => '_',
        })
        .collect();
    let format = format_of(&kind, &name)
        .ok_or_else(|| Fail::parameter("filename", "wrong file extension"))?;
    let checksum = match (params.get("checksum"), params.get("checksum-algorithm")) {
        (Some(checksum), Some(algorithm)) => Some((algorithm.to_owned(), checksum.to_owned())),
        (Some(_), None) => {
            let text = "missing property - 'checksum' requires this property";
            return Err(Fail::parameter("checksum-algorithm", text));
        }
        (None, Some(_)) => {
            let text = "missing property - 'checksum-algorithm' requires this property";
            return Err(Fail::parameter("checksum", text));
        }
        (None, None) => None,
    };
    call.world.check_space(id)?;
    let key = (id.to_owned(), storage.place(node), format!("{kind}/{name}"));
    Ok(Incoming { key, kind, format, checksum })
}

impl Incoming {
    /// Compares the checksum that was promised with what came.
    pub fn check_sum(&self, digests: &Digests) -> Result<(), String> {
        let Some((algorithm, expected)) = &self.checksum else { return Ok(()) };
        match digests.get(algorithm) {
            Some(got) if got.eq_ignore_ascii_case(expected) => Ok(()),
            Some(got) => Err(format!("checksum mismatch: got '{got}' != expect '{expected}'")),
            None => Err(format!("checksum algorithm '{algorithm}' is not simulated")),
        }
    }

    /// A disk image must be what its name says. Source: the text of `qemu-img`.
    pub fn check_image(&self, head: &[u8], file: &str) -> Result<(), String> {
        let magic: &[u8] = match self.format {
            "qcow2" => b"QFI\xfb",
            "vmdk" => b"KDMV",
            _ => return Ok(()),
        };
        if self.kind != "import" || head.starts_with(magic) {
            return Ok(());
        }
        Err(format!("qemu-img: Could not open '{file}': Image is not in {} format", self.format))
    }

    /// The size of the disk in an image: what a disk made from it gets (fact 46).
    /// Source: the header of qcow2, bytes 24 to 31.
    fn disk_size(&self, head: &[u8]) -> Option<u64> {
        let bytes = head.get(24..32).filter(|_| self.format == "qcow2")?;
        Some(u64::from_be_bytes(bytes.try_into().ok()?)).filter(|size| *size > 0)
    }

    /// What the backend does for the new volume.
    pub fn ops(&self, world: &World, size: u64) -> Vec<Op> {
        if self.kind != "import" || world.volumes.get(&self.key).is_some() {
            return Vec::new();
        }
        vec![Op::Allocate { volume: volid(&self.key), size }]
    }

    /// Puts the volume into the storage; one of the same name is replaced.
    pub fn put(&self, world: &mut World, size: u64, head: &[u8]) {
        let volume = Volume {
            content: self.kind.clone(),
            format: self.format.to_owned(),
            size,
            disk: self.disk_size(head),
            created: world.now,
            ..Volume::default()
        };
        world.volumes.remove(&self.key);
        world.volumes.insert(self.key.clone(), volume);
    }
}

fn upload(call: &mut Call<'_>) -> Result<Value, Fail> {
    let Some(upload) = call.upload else {
        call.world.storage_on(call.params.node(), call.params.text("storage"))?;
        return Err(Fail::parameter("filename", crate::schema::check::MISSING));
    };
    let file = incoming(call, &upload.filename)?;
    let random = (call.world.random(), call.world.random());
    let temporary = format!("/var/tmp/pveupload-{:016x}{:016x}", random.0, random.1);
    let (size, digests, head) = (upload.size, upload.digests.clone(), upload.head.clone());
    Ok(call.task("imgcopy", "", Copy { file, size, digests, head, temporary }))
}

struct Copy {
    file: Incoming,
    size: u64,
    digests: Digests,
    head: Vec<u8>,
    temporary: String,
}

impl Work for Copy {
    fn begin(&mut self, _world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        log.push(format!("starting file import from: {}", self.temporary));
        self.file.check_sum(&self.digests)?;
        self.file.check_image(&self.head, &self.temporary)?;
        log.push(format!("file size is: {}", self.size));
        Ok(Vec::new())
    }

    fn effects(&mut self, world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        Ok(self.file.ops(world, self.size))
    }

    fn finish(
        &mut self,
        world: &mut World,
        log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        self.file.put(world, self.size, &self.head);
        log.push("finished file import successfully".into());
        Ok(Step::Done)
    }
}
