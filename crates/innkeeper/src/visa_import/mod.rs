//! `innkeeper visa import`: takes over what VISA's Node.js provider for Proxmox
//! and its metadata server have written into their tables, and leaves them as
//! they are.

mod judge;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use model::time::SystemClock;
use model::{
    Caller, Clock, Door, FlavourId, InstallationId, Phase, Principal, ProviderId, Random, Role,
};
use provider::{Batch, Provider};
use provisioner::{
    Core, House, HouseSettings, Numbered, Observer, SeedDocuments, SystemRandom, TakeOver,
};
use secrecy::SecretString;
use store::{OldFlavour, OldInstance, OldSeed, PostgresSettings, visa_connector, visa_seeds};

use crate::config::{Config, OldTables};
use crate::data_base;
use crate::providers;
use crate::state::StateFolder;
use judge::{Guest, Known, Verdict, World};

/// What is done for a VISA server.
#[derive(Subcommand, Clone, Debug)]
pub enum VisaCommand {
    /// Take over the flavours and instances of VISA's Node.js provider
    ///
    /// Without --apply it only says what it would do. It can be run again: what
    /// was taken over is left alone. The old tables are only read.
    Import(Import),
}

/// From where, and whether really.
#[derive(Args, Clone, Debug)]
pub struct Import {
    /// The configuration: the old provider's environment file, or one of TOML
    #[arg(long, short, value_name = "FILE", default_value = ".env")]
    config: PathBuf,
    /// The old provider's environment file, when the configuration is another
    #[arg(long, value_name = "FILE")]
    provider_env: Option<PathBuf>,
    /// The old metadata server's environment file
    #[arg(long, value_name = "FILE")]
    metadata_env: Option<PathBuf>,
    /// Do it
    #[arg(long, conflicts_with = "dry_run")]
    apply: bool,
    /// Only say what would be done: the default
    #[arg(long)]
    dry_run: bool,
    /// A vmid whose VM has another name than the old table says, and is the same
    #[arg(long, value_name = "VMID")]
    renamed: Vec<String>,
}

/// What the old tables hold.
struct Old {
    flavours: Vec<OldFlavour>,
    instances: Vec<OldInstance>,
    seeds: BTreeMap<String, OldSeed>,
}

/// The house without doors, and the cluster.
struct Site {
    /// `None` while there is no data base of ours yet, in a dry run.
    house: Option<(Arc<Core>, Arc<House>)>,
    caller: Caller,
    name: ProviderId,
    provider: Arc<dyn Provider>,
}

/// Says what it would do, and does it when it is told to.
///
/// # Errors
/// When the configuration, a data base or the cluster cannot be read.
pub async fn run(options: &Import) -> Result<()> {
    let config = Config::read(&options.config)?;
    let env = options.provider_env.as_ref().unwrap_or(&options.config);
    let old = read_old(&OldTables::read(env, options.metadata_env.as_deref())?).await?;
    let site = Site::open(&config, options.apply).await?;
    let done = import(&site, options, &old, config.metadata.is_some()).await;
    if let Some((core, _)) = &site.house {
        core.store.close().await;
    }
    done
}

async fn read_old(tables: &OldTables) -> Result<Old> {
    let settings = |url: &SecretString| PostgresSettings::new(url.clone(), PathBuf::new());
    let (flavours, instances) = visa_connector(settings(&tables.connector))
        .await
        .context("cannot read the provider's tables flavour and vm")?;
    let seeds = match &tables.metadata {
        Some(url) => {
            visa_seeds(settings(url)).await.context("cannot read the metadata server's table vm")?
        }
        None => Vec::new(),
    };
    let seeds = seeds.into_iter().map(|seed| (seed.id.clone(), seed)).collect();
    Ok(Old { flavours, instances, seeds })
}

impl Site {
    async fn open(config: &Config, apply: bool) -> Result<Self> {
        let door = config.visa.as_ref().context("visa: expected the table, got none")?;
        let [one] = config.providers.as_slice() else {
            bail!("provider: expected one cluster, got {}", config.providers.len());
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let random: Arc<dyn Random> = Arc::new(SystemRandom::new());
        let principal = Principal { id: "import".to_owned(), name: "import".to_owned() };
        let caller = Caller::new(principal, door.project.clone(), Door::Visa, Role::Admin);
        let name = one.name().clone();
        if !apply && !data_base::is_there(config).await? {
            let nobody = InstallationId::generate(&*clock, &*random);
            let provider = providers::provider(one, clock, nobody)?.provider();
            return Ok(Self { house: None, caller, name, provider });
        }
        let state = StateFolder::open(&config.state)?;
        let store =
            data_base::open(config, &state, Arc::clone(&clock), Arc::clone(&random)).await?;
        let provider =
            providers::provider(one, Arc::clone(&clock), store.installation_id())?.provider();
        let known = [(name.clone(), Arc::clone(&provider))].into();
        let settings = HouseSettings {
            metadata_url: config.metadata.as_ref().map(|door| door.url.clone()),
            expiry_warning: config.expiry.warn_before(),
            preference: config.placement.preference(),
        };
        let core = Core::open(store, known, clock, random, settings).await?;
        let house = Some((Arc::clone(&core), House::new(core)));
        Ok(Self { house, caller, name, provider })
    }

    /// What there is, as far as it matters for these rows.
    async fn world(&self, old: &Old, renamed: &[String]) -> Result<World> {
        let batch = self.provider.observe().await.context("cannot look at the cluster")?;
        if let Some(reason) = &batch.incomplete {
            bail!("not everything of the cluster can be seen: {reason}");
        }
        let Batch { images, guests, .. } = batch;
        let keys = images.iter().filter_map(|image| self.provider.guest_key(&image.native));
        let mut world = World {
            guests: guests.into_iter().map(|guest| (guest.key.clone(), guest)).collect(),
            images: keys.map(|key| (key, None)).collect(),
            seeds: old.seeds.keys().cloned().collect(),
            renamed: renamed.iter().cloned().collect(),
            ..World::default()
        };
        let Some((core, house)) = &self.house else { return Ok(world) };
        for image in core.read_model.images() {
            let key = self.provider.guest_key(&image.native);
            let key =
                key.filter(|key| image.provider == self.name && world.images.contains_key(key));
            world.images.extend(key.map(|key| (key, Some(image.id))));
        }
        let flavours = core.read_model.flavours();
        world.flavours = flavours.iter().map(|flavour| (**flavour).clone()).collect();
        for row in core.read_model.of_provider(&self.name) {
            let key = self.provider.guest_key(&row.native);
            world.claimed.extend(key.map(|key| (key, row.id)));
        }
        for row in &old.instances {
            let known = match house.meaning_of(&self.caller, &row.id).await? {
                Numbered::Nobody => continue,
                Numbered::Gone => Known::Gone,
                Numbered::Instance(found) if found.phase == Phase::Failed => {
                    Known::Failed(found.fault.map(|fault| fault.message).unwrap_or_default())
                }
                Numbered::Instance(found) => Known::Taken(found.state().to_string()),
            };
            world.known.insert(row.id.clone(), known);
        }
        Ok(world)
    }
}

/// How many rows were judged how.
#[derive(Default)]
struct Sum {
    take: usize,
    there: usize,
    left: usize,
}

impl Sum {
    fn add<T>(&mut self, verdict: &Verdict<T>) {
        match verdict {
            Verdict::Take(_) => self.take += 1,
            Verdict::There(_) => self.there += 1,
            Verdict::Leave(_) => self.left += 1,
        }
    }
}

async fn import(site: &Site, options: &Import, old: &Old, serves_seeds: bool) -> Result<()> {
    if let (Some((core, _)), true) = (&site.house, options.apply) {
        // Writes down images, which instances refer to.
        Observer::new(Arc::clone(core), site.name.clone()).look().await;
    }
    let world = site.world(old, &options.renamed).await?;
    if !serves_seeds {
        println!("No metadata door is configured: the guests' documents are not taken over.");
    }
    let mut flavours: BTreeSet<FlavourId> = world.flavours.iter().map(|ours| ours.id).collect();
    let mut sum = Sum::default();
    for row in &old.flavours {
        let verdict = judge::flavour(row, &old.flavours, &world);
        println!("flavour  {:<14} {:<24} {verdict}", row.id, row.name);
        sum.add(&verdict);
        let Verdict::Take(flavour) = verdict else { continue };
        flavours.insert(flavour.id);
        if let (Some((_, house)), true) = (&site.house, options.apply) {
            let name = flavour.name.clone();
            let taken = house.take_over_flavour(&site.caller, flavour).await;
            taken.with_context(|| format!("the flavour {name} cannot be taken over"))?;
        }
    }
    for row in &old.instances {
        let verdict = judge::instance(row, &flavours, &world);
        println!("instance {:<14} {:<24} {verdict}", row.id, row.name);
        sum.add(&verdict);
        let Verdict::Take(guest) = verdict else { continue };
        println!("         was {}, is {}", or_nothing(&row.status), guest.power);
        guest.remarks.iter().for_each(|remark| println!("         {remark}"));
        if let (Some((_, house)), true) = (&site.house, options.apply) {
            let seed = old.seeds.get(&row.id).filter(|_| serves_seeds);
            let taken = house.take_over(&site.caller, request(site, row, guest, seed)).await;
            taken.with_context(|| format!("the instance {} cannot be taken over", row.id))?;
        }
    }
    conclude(options.apply, &sum);
    Ok(())
}

fn conclude(applied: bool, sum: &Sum) {
    let Sum { take, there, left } = sum;
    match applied {
        false => println!(
            "{take} would be taken over, {there} are there already, {left} would be left out. \
             Nothing was changed; --apply does it."
        ),
        true => println!(
            "{take} were taken over, {there} were there already, {left} were left out. `innkeeper \
             serve` puts its mark on the guests; run this again to see how they are."
        ),
    }
}

fn or_nothing(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}

fn request(site: &Site, row: &OldInstance, guest: Guest, seed: Option<&OldSeed>) -> TakeOver {
    // As they were: with other meta-data its cloud-init would take itself for a
    // new instance, and run the boot command again.
    let seed = seed.map(|seed| SeedDocuments {
        user_data: seed.user_data.clone(),
        meta_data: seed.meta_data.clone(),
        vendor_data: String::new(),
        network_config: None,
    });
    let notes = [("metadata-yaml", &row.metadata), ("boot-command", &row.boot_command)];
    let note = |(key, text): (&str, &String)| (key.to_owned(), SecretString::from(text.clone()));
    let label = |key: &str, text: &str| (key.to_owned(), text.to_owned());
    TakeOver {
        provider: site.name.clone(),
        guest: row.id.clone(),
        number: row.id.clone(),
        image: guest.image,
        flavour: guest.flavour,
        labels: [
            label(api::visa::IMAGE_LABEL, &row.image),
            label(api::visa::FLAVOUR_LABEL, &row.flavour),
        ]
        .into(),
        created_at: row.created_at,
        seed,
        notes: notes.map(note).into(),
    }
}
