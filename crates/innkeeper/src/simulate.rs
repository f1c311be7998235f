//! `innkeeper pve-sim`: a Proxmox VE cluster in one process, for trying things
//! out and for tests.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use pve_sim::{GuestSeed, NodeSeed, Seed, Simulator, StorageSeed, Version};

use crate::serve::asked_to_end;

/// How often the state is written while the cluster runs.
const SAVE_EVERY: Duration = Duration::from_secs(30);

/// The default password of `root@pam`.
const PASSWORD: &str = "innkeeper";

/// Runs a simulated Proxmox VE cluster. Guests are records: they have states
/// and addresses, and nothing runs.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Where its API listens
    #[arg(long, default_value = "127.0.0.1:8006")]
    pub listen: SocketAddr,
    /// A TOML file that describes the cluster (docs/reference/pve-sim.md); without it: one node,
    /// a local storage, the template 9000 `debian`, the firewall groups web and db
    #[arg(long, value_name = "FILE")]
    pub seed: Option<PathBuf>,
    /// The release of Proxmox VE that is played; without it the one of the seed, or 8.4
    #[arg(long = "version", value_name = "RELEASE", id = "release")]
    pub version: Option<Release>,
    /// Where the state is kept: loaded when the file is there (the seed is then not looked at),
    /// written every 30 seconds and at the end
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// How long a refused log-in is held back, in milliseconds; Proxmox takes 3000
    #[arg(long, value_name = "MS", default_value_t = 3000)]
    pub auth_delay: u64,
}

/// A release that can be played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Release {
    /// 7.4
    #[value(name = "7.4")]
    V7_4,
    /// 8.4
    #[value(name = "8.4")]
    V8_4,
    /// 9.2
    #[value(name = "9.2")]
    V9_2,
}

impl From<Release> for Version {
    fn from(release: Release) -> Self {
        match release {
            Release::V7_4 => Self::V7_4,
            Release::V8_4 => Self::V8_4,
            Release::V9_2 => Self::V9_2,
        }
    }
}

fn seed(options: &Options) -> Result<Seed> {
    let mut seed = match &options.seed {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("--seed: cannot read {}", path.display()))?;
            Seed::from_toml(&text).with_context(|| format!("--seed {}", path.display()))?
        }
        None => Seed {
            nodes: vec![NodeSeed::new("pve1")],
            storages: vec![StorageSeed::new("local", "dir")],
            templates: vec![GuestSeed::new(9000, "debian").disk("local", 2048)],
            firewall_groups: vec!["web".into(), "db".into()],
            ..Seed::default()
        },
    };
    if let Some(version) = options.version {
        seed.version = version.into();
    }
    seed.root_password.get_or_insert_with(|| PASSWORD.into());
    Ok(seed)
}

/// Runs until it is asked to end.
///
/// # Errors
/// When the seed or the state makes no sense, the state cannot be written, or
/// the address is taken.
pub async fn run(options: &Options) -> Result<()> {
    let mut builder = Simulator::builder().auth_delay(Duration::from_millis(options.auth_delay));
    let found = options.state.as_deref().filter(|path| path.exists());
    let mut password = None;
    if let Some(path) = found {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("--state: cannot read {}", path.display()))?;
        builder = builder.load(&text);
    } else {
        let seed = seed(options)?;
        password.clone_from(&seed.root_password);
        builder = builder.seed(seed);
    }
    let simulator = builder.start(options.listen).await?;
    println!("address      {}", simulator.url());
    println!("fingerprint  {}", simulator.fingerprint());
    println!("token        {}", simulator.token());
    match password {
        Some(password) => println!("log-in       root@pam with the password {password}"),
        None => println!("The state of before is loaded, with its users and passwords."),
    }
    println!("Guests are simulated records. Ctrl-C ends it.");
    match &options.state {
        Some(path) => keep(&simulator, path).await,
        None => {
            asked_to_end().await;
            Ok(())
        }
    }
}

/// Writes the state now and then, and at the end.
async fn keep(simulator: &Simulator, path: &Path) -> Result<()> {
    let mut end = std::pin::pin!(asked_to_end());
    loop {
        let ended = tokio::time::timeout(SAVE_EVERY, &mut end).await.is_ok();
        save(simulator, path).with_context(|| format!("--state {}", path.display()))?;
        if ended {
            return Ok(());
        }
    }
}

/// Replaces the file as a whole, so that a crash leaves the old one.
fn save(simulator: &Simulator, path: &Path) -> Result<()> {
    let next = path.with_extension("next");
    std::fs::write(&next, simulator.save()?)?;
    std::fs::rename(&next, path)?;
    Ok(())
}
