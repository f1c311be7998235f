//! The whole state as text, to go on with later.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::World;
use super::storage::volid;

/// Changes when a state cannot be read by the program before.
const FORMAT: u32 = 1;

/// Why a saved state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The text is no state of a simulator.
    #[error("this is not the saved state of a simulator")]
    Json(#[from] serde_json::Error),
    /// Another program wrote it.
    #[error("the saved state has format {0}, this program reads format {FORMAT}")]
    Format(u32),
    /// A guest or volume cannot be brought back.
    #[error("{0}")]
    Backend(String),
}

#[derive(Serialize)]
struct Write<'a> {
    format: u32,
    world: &'a World,
}

#[derive(Deserialize)]
struct Head {
    format: u32,
}

#[derive(Deserialize)]
struct Read {
    world: World,
}

impl World {
    /// The state as JSON. Running tasks are saved as killed.
    pub fn save(&self) -> Result<String, StateError> {
        Ok(serde_json::to_string(&Write { format: FORMAT, world: self })?)
    }

    /// Reads a saved state.
    pub fn load(text: &str, now: Duration) -> Result<Self, StateError> {
        let Head { format } = serde_json::from_str(text)?;
        if format != FORMAT {
            return Err(StateError::Format(format));
        }
        let Read { mut world } = serde_json::from_str(text)?;
        world.now = now;
        Ok(world)
    }

    /// The volumes that the backend keeps, with their sizes in bytes.
    pub fn kept_volumes(&self) -> Vec<(String, u64)> {
        let kept = self.volumes.all().filter(|(_, volume)| {
            matches!(volume.content.as_str(), "images" | "rootdir" | "import")
        });
        let mut rows: Vec<(String, u64)> =
            kept.map(|(key, volume)| (volid(key), volume.size)).collect();
        // Volumes of equal names on several nodes are one to the backend.
        rows.sort_unstable();
        rows.dedup_by(|one, other| one.0 == other.0);
        rows
    }
}
