//! A whole distribution with real cloud-init behind the house: what a user's
//! document asks for has happened in the guest.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use client::progress::{follow, for_stderr};
use client::wire::{CreateInstance, OperationState, Secret};
use client::{Client, Endpoint, Settings};
use innkeeper::config::{Config, MetadataDoor, NativeDoor};
use innkeeper::demo::cluster::{Cluster, Guest};
use innkeeper::demo::ssh::{self, DemoKey};
use innkeeper::serve::{self, Running};
use innkeeper::state::StateFolder;
use secrecy::SecretString;

const NAME: &str = "cloud-1";
/// A distribution under emulation, on a machine that does other things, too.
const BOOT: Duration = Duration::from_secs(1500);

/// The image, built from the distribution's packages when the cache has none.
fn image(cache: &Path) -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("images/build-debian.sh");
    let built = Command::new("sh").arg(script).arg(cache).output()?;
    let error = String::from_utf8_lossy(&built.stderr);
    ensure!(built.status.success(), "the image cannot be built:\n{error}");
    Ok(PathBuf::from(String::from_utf8(built.stdout)?.trim_end()))
}

/// One of everything that people ask cloud-init for.
fn user_data(key: &str) -> String {
    format!(
        "#cloud-config\n\
         disable_root: false\n\
         ssh_authorized_keys:\n  - {key}\n\
         users:\n  - default\n  - name: ada\n    gecos: Ada\n    shell: /bin/bash\n    \
           groups: [audio]\n    ssh_authorized_keys:\n      - {key}\n\
         write_files:\n  - path: /etc/innkeeper-proof\n    permissions: '0640'\n    \
           content: |\n      first line\n      ä: [1, 2]\n  - path: /opt/binary\n    \
           encoding: b64\n    content: AAEC/w==\n\
         runcmd:\n  - [sh, -c, 'cat /etc/innkeeper-proof > /root/runcmd-saw']\n  \
           - echo done > /root/runcmd-ended\n"
    )
}

/// The house with a cluster whose template is the image.
struct Site {
    cluster: Cluster,
    running: Running,
    client: Client,
}

impl Site {
    async fn open(image: PathBuf, folder: &Path, cache: &Path) -> Result<Self> {
        let guest = Guest::Image(image);
        let say = |line: &str| eprintln!("{line}");
        let cluster = Cluster::start(&guest, cache, &folder.join("guests"), say).await?;
        let state = StateFolder::open(&folder.join("state"))?;
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let port = tokio::net::TcpListener::bind(any).await?.local_addr()?.port();
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let config = Config {
            state: state.path().to_owned(),
            store: innkeeper::config::StoreConfig::default(),
            native: NativeDoor { listen: any },
            metadata: Some(MetadataDoor { listen, url: format!("http://10.0.2.2:{port}/") }),
            providers: vec![cluster.provider(&state)?],
            expiry: innkeeper::config::ExpiryConfig::default(),
            placement: innkeeper::config::PlacementConfig::default(),
            visa: None,
        };
        let running = serve::open(&config).await?;
        let token = std::fs::read_to_string(running.state.admin_token())?;
        let endpoint = Endpoint::parse_url(&format!("http://{}", running.native))?;
        let token = SecretString::from(token.trim().to_owned());
        let client = Client::new(Settings::new(endpoint, Some(token)))?;
        Ok(Self { cluster, running, client })
    }

    async fn create(&self, key: &DemoKey) -> Result<()> {
        let mut request = CreateInstance::new(NAME, Guest::Image(PathBuf::new()).name());
        request.cores = Some(2);
        request.memory_bytes = Some(1 << 30);
        request.user_data = Some(Secret::from(user_data(&key.public)));
        let give_up = Instant::now() + Duration::from_secs(60);
        let accepted = loop {
            match self.client.create_instance(&request).await {
                Ok(accepted) => break accepted,
                // The image has not been observed yet.
                Err(error) if Instant::now() > give_up => return Err(error.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        };
        let operation = follow(&self.client, accepted.operation, &mut *for_stderr()).await?;
        ensure!(operation.state == OperationState::Succeeded, "{operation:?}");
        Ok(())
    }

    /// What a command in the guest prints, once cloud-init has come to its end.
    async fn first_word(&self, key: &DemoKey, command: &str) -> Result<String> {
        let give_up = Instant::now() + BOOT;
        loop {
            if let Some(address) = self.cluster.ssh(NAME)
                && ssh::answers(address).await
                && let Ok(text) = ssh::run(address, key, command).await
            {
                return Ok(text);
            }
            if Instant::now() > give_up {
                let console = self.cluster.console(NAME).unwrap_or_default();
                bail!("cloud-init did not come to its end; the console:\n{console}");
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    }

    async fn ask(&self, key: &DemoKey, command: &str) -> Result<String> {
        let address = self.cluster.ssh(NAME).context("the guest does not run")?;
        ssh::run(address, key, command).await.with_context(|| command.to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_distribution_does_what_its_user_data_says() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let cache = cache()?;
    let image = image(&cache)?;
    let site = Site::open(image, folder.path(), &cache).await?;
    let random = std::sync::Arc::clone(&site.running.core.random);
    let key = DemoKey::new(&*random, &folder.path().join("key"))?;
    site.create(&key).await?;
    let outcome = check(&site, &key).await;
    site.running.stop().await?;
    site.cluster.stop().await;
    outcome
}

async fn check(site: &Site, key: &DemoKey) -> Result<()> {
    site.first_word(key, "test -e /run/cloud-init/result.json && cat /root/runcmd-ended").await?;
    let mut found = String::new();
    for command in [
        "hostname",
        "getent passwd ada | cut -d: -f5,7",
        "id -nG ada | tr ' ' '\\n' | grep -c '^audio$'",
        "cut -d' ' -f3 /home/ada/.ssh/authorized_keys",
        "stat -c %a /etc/innkeeper-proof; cat /etc/innkeeper-proof",
        "od -An -tx1 /opt/binary",
        "cat /root/runcmd-saw",
        "tr -d ' \\n' </run/cloud-init/result.json | grep -o '\"errors\":.*'",
    ] {
        writeln!(found, "$ {command}\n{}", site.ask(key, command).await?.trim_end())?;
    }
    insta::assert_snapshot!(found.trim_end(), @r#"
    $ hostname
    cloud-1
    $ getent passwd ada | cut -d: -f5,7
    Ada:/bin/bash
    $ id -nG ada | tr ' ' '\n' | grep -c '^audio$'
    1
    $ cut -d' ' -f3 /home/ada/.ssh/authorized_keys
    innkeeper-demo
    $ stat -c %a /etc/innkeeper-proof; cat /etc/innkeeper-proof
    640
    first line
    ä: [1, 2]
    $ od -An -tx1 /opt/binary
     00 01 02 ff
    $ cat /root/runcmd-saw
    first line
    ä: [1, 2]
    $ tr -d ' \n' </run/cloud-init/result.json | grep -o '"errors":.*'
    "errors":[]}}
    "#);
    Ok(())
}

/// Built images are kept beside what the compiler made.
fn cache() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let target = test.ancestors().nth(3).context("a test lies in PROFILE/deps of its target")?;
    Ok(target.join("images"))
}
