//! The rest of the guest agent's calls.

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::GuestAgent;
use crate::requests::record;
use crate::{Error, Params, lenient};

record! {
    /// A mounted file system of the guest.
    AgentFilesystem {
        /// The volume's name.
        name: String,
        /// Where it is mounted.
        mountpoint: String,
        /// `ext4`, `NTFS`.
        #[serde(rename = "type")]
        kind: String,
        /// Bytes in use.
        #[serde(rename = "used-bytes")]
        used_bytes: Option<u64>,
        /// Bytes in all.
        #[serde(rename = "total-bytes")]
        total_bytes: Option<u64>,
        /// The disks below.
        disk: Vec<Value>,
    }
}

record! {
    /// Somebody who is logged in.
    AgentUser {
        /// The user.
        user: String,
        /// The domain, on Windows.
        domain: Option<String>,
        /// When, in seconds since the epoch, with a fraction.
        #[serde(rename = "login-time")]
        login_time: Option<f64>,
    }
}

#[derive(Deserialize)]
struct Answer<T: lenient::Lenient> {
    #[serde(deserialize_with = "lenient::any", bound(deserialize = "T: lenient::Lenient"))]
    result: T,
}

impl GuestAgent {
    async fn read<T: lenient::Lenient>(&self, command: &str) -> Result<T, Error> {
        let answer: Answer<T> = self.0.sub(command).get(()).await?;
        Ok(answer.result)
    }

    async fn run<T: lenient::Lenient>(&self, command: &str) -> Result<T, Error> {
        let answer: Answer<T> = self.0.sub(command).post(()).await?.data()?;
        Ok(answer.result)
    }

    /// The agent's version and the commands that it knows, as they are.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub async fn info(&self) -> Result<Value, Error> {
        self.read("info").await
    }

    /// The guest's host name.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub async fn host_name(&self) -> Result<String, Error> {
        let name: Value = self.read("get-host-name").await?;
        Ok(name.get("host-name").and_then(lenient::scalar).unwrap_or_default())
    }

    /// The guest's mounted file systems.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub async fn filesystems(&self) -> Result<Vec<AgentFilesystem>, Error> {
        self.read("get-fsinfo").await
    }

    /// Who is logged in.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub async fn users(&self) -> Result<Vec<AgentUser>, Error> {
        self.read("get-users").await
    }

    /// The guest's clock, in nanoseconds since the epoch.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub async fn time(&self) -> Result<Option<u64>, Error> {
        self.read("get-time").await
    }

    /// Any other command that reads (`get-vcpus`, `get-timezone`,
    /// `get-memory-blocks`, …), as it answers.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub async fn query(&self, command: &str) -> Result<Value, Error> {
        self.read(command).await
    }

    /// Are the file systems frozen? `thawed` or `frozen`.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub async fn freeze_status(&self) -> Result<String, Error> {
        self.run("fsfreeze-status").await
    }

    /// Freezes the file systems and answers how many. Thaw them soon.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub async fn freeze(&self) -> Result<Option<u64>, Error> {
        self.run("fsfreeze-freeze").await
    }

    /// Thaws the file systems and answers how many.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub async fn thaw(&self) -> Result<Option<u64>, Error> {
        self.run("fsfreeze-thaw").await
    }

    /// Tells storage below which blocks are free.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub async fn trim(&self) -> Result<Value, Error> {
        self.run("fstrim").await
    }

    /// Shuts the guest down from inside.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub async fn shutdown(&self) -> Result<(), Error> {
        self.0.sub("shutdown").post(()).await.map(drop)
    }

    /// Sets a user's password inside the guest; `crypted`: it is a hash.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub async fn set_user_password(
        &self,
        user: &str,
        password: SecretString,
        crypted: bool,
    ) -> Result<(), Error> {
        let params = Params::new()
            .set("username", user)
            .secret("password", password)
            .opt("crypted", crypted.then_some(true));
        self.0.sub("set-user-password").post(params).await.map(drop)
    }
}
