//! `POST /nodes/{node}/storage/{storage}/download-url`

use serde_json::Value;

use super::Plain;
use super::upload::{Incoming, incoming};
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::Version;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path) {
        ("POST", "/{storage}/download-url") => download,
        ("POST", "/{storage}/oci-registry-pull") => pull,
        _ => return None,
    })
}

/// Fetches a file. Only `http` addresses of this machine are fetched; others
/// fail as if the node had no way out.
struct Download {
    url: String,
    file: Incoming,
    /// The size and the first bytes, once it is there.
    fetched: Option<(u64, Vec<u8>)>,
}

impl Work for Download {
    fn begin(&mut self, _world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        log.push(format!("downloading {} to {}:{}", self.url, self.file.key.0, self.file.key.2));
        Ok(Vec::new())
    }

    fn effects(&mut self, world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        match &self.fetched {
            None => Ok(vec![Op::Fetch { url: self.url.clone() }]),
            Some((size, _)) => Ok(self.file.ops(world, *size)),
        }
    }

    fn finish(
        &mut self,
        world: &mut World,
        log: &mut Vec<String>,
        done: &[Done],
    ) -> Result<Step, String> {
        if let Some(Done::Fetched(fetched)) = done.first() {
            self.file.check_sum(&fetched.digests)?;
            self.file.check_image(&fetched.head, &format!("{}.tmp", self.file.key.2))?;
            log.push(format!("download of '{}' to '{}' finished", self.url, self.file.key.2));
            self.fetched = Some((fetched.size, fetched.head.clone()));
            // The backend makes an imported disk in a second step.
            return Ok(Step::Again(std::time::Duration::ZERO));
        }
        let (size, head) = self.fetched.take().unwrap_or_default();
        self.file.put(world, size, &head);
        Ok(Step::Done)
    }
}

fn download(call: &mut Call<'_>) -> Result<Value, Fail> {
    let file = incoming(call, call.params.text("filename"))?;
    let url = call.params.text("url").to_owned();
    let name = file.key.2.rsplit('/').next().unwrap_or_default().to_owned();
    Ok(call.task("download", &name, Download { url, file, fetched: None }))
}

/// An image of a registry becomes a template of a container (9). There is no
/// registry here: the task fails as without a way out.
fn pull(call: &mut Call<'_>) -> Result<Value, Fail> {
    let reference = call.params.text("reference").to_owned();
    let (_, tail) = reference.rsplit_once('/').unwrap_or(("", &reference));
    let name = call
        .params
        .get("filename")
        .map_or_else(|| format!("{}.tar", tail.replace(':', "_")), str::to_owned);
    if call.world.version != Version::V9_2 {
        return Err(Fail::with(501, "not implemented"));
    }
    let storage = call.world.storage_on(call.params.node(), call.params.text("storage"))?;
    let key = (storage.id.clone(), storage.place(call.params.node()), format!("vztmpl/{name}"));
    let file = Incoming { key, kind: "vztmpl".into(), format: "tar", checksum: None };
    let work = Download { url: format!("docker://{reference}"), file, fetched: None };
    Ok(call.task("imgcopy", "", work))
}
