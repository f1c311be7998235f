//! Where the server is, and with which token to ask it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use secrecy::SecretString;

use super::exit::{Exit, Failure};
use super::output::Format;
use crate::{Client, Endpoint, Settings};

/// The file in a state folder that holds the first administrator's token.
pub const ADMIN_TOKEN_FILE: &str = "admin.token";
/// The native door's Unix socket in a state folder.
pub const SOCKET_FILE: &str = "innkeeper.sock";

/// How to reach the server. What is on the command line wins over the
/// environment.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// The server's address, for example http://127.0.0.1:8006 [env: INNKEEPER_SERVER]
    #[arg(long, global = true, value_name = "URL", conflicts_with = "socket")]
    pub server: Option<String>,
    /// The server's Unix socket
    #[arg(long, global = true, value_name = "FILE")]
    pub socket: Option<PathBuf>,
    /// A file that holds the token [env: INNKEEPER_TOKEN holds the token itself]
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The server's state folder: its innkeeper.sock and admin.token are used [env: INNKEEPER_STATE]
    #[arg(long, global = true, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// How to print results
    #[arg(long, short, global = true, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

impl Connection {
    /// A client for the server that arguments, environment and the default
    /// state folder, in this order, name. `env` reads a variable.
    ///
    /// # Errors
    /// [`Failure`] that says what is missing.
    pub fn client(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
        default_state: Option<&Path>,
    ) -> Result<Client, Failure> {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let env_state = env("INNKEEPER_STATE").map(PathBuf::from);
        let state = self.state.clone().or(env_state);
        let default_socket =
            default_state.map(|folder| folder.join(SOCKET_FILE)).filter(|socket| socket.exists());
        // Only a token of the same place as the endpoint is sent to it unasked:
        // a machine's admin token does not travel to some other server.
        let mut token_folder = self.state.clone();
        let endpoint = if let Some(socket) = &self.socket {
            Endpoint::Socket(socket.clone())
        } else if let Some(server) = &self.server {
            Endpoint::parse_url(server)?
        } else if let Some(folder) = &self.state {
            Endpoint::Socket(folder.join(SOCKET_FILE))
        } else if let Some(server) = env("INNKEEPER_SERVER") {
            Endpoint::parse_url(&server)?
        } else if let Some(folder) = state {
            token_folder = Some(folder.clone());
            Endpoint::Socket(folder.join(SOCKET_FILE))
        } else if let Some(socket) = default_socket {
            token_folder = default_state.map(Path::to_owned);
            Endpoint::Socket(socket)
        } else {
            return Err(Failure::new(Exit::Usage, "which server?")
                .hint("give --server URL, --socket FILE or --state DIR, or set INNKEEPER_SERVER"));
        };
        let token = match (&self.token_file, env("INNKEEPER_TOKEN"), token_folder) {
            (Some(file), ..) => Some(read_token(file)?),
            (None, Some(token), _) => Some(SecretString::from(token.trim().to_owned())),
            (None, None, Some(folder)) => Some(read_token(&folder.join(ADMIN_TOKEN_FILE))?),
            (None, None, None) => None,
        };
        Ok(Client::new(Settings::new(endpoint, token))?)
    }
}

/// Tokens are far shorter.
const TOKEN_FILE_MOST: u64 = 4096;

fn read_token(file: &Path) -> Result<SecretString, Failure> {
    let refuse = |why: &str| {
        Failure::new(Exit::Usage, format!("cannot read a token from {}: {why}", file.display()))
            .hint("give --token-file FILE or set INNKEEPER_TOKEN")
    };
    let mut text = String::new();
    File::open(file)
        .and_then(|file| file.take(TOKEN_FILE_MOST).read_to_string(&mut text))
        .map_err(|error| refuse(&error.to_string()))?;
    let token = text.trim();
    // A header carries visible ASCII only; anything else is the wrong file.
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refuse("expected one line that is a token"));
    }
    Ok(SecretString::from(token.to_owned()))
}
