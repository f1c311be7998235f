//! Sends recorded requests: with the recorded kind of credentials, at the
//! recorded time, with task ids, tickets and names of backups put in place of
//! the recorded ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pve_sim::{AgentBehaviour, ManualClock, Script, Seed, Simulator, Version};
use regex::Regex;
use serde_json::Value;

use super::{Row, shape};
use crate::support::{Answer, raw};

pub const PASSWORD: &str = "recorded-password";

/// Seconds since the epoch of a `Date` header of November 2026.
fn seconds(date: &str) -> Option<u64> {
    let pattern = Regex::new(r"^\w+, (\d\d) Nov 2026 (\d\d):(\d\d):(\d\d) GMT$").unwrap();
    let parts = pattern.captures(date)?;
    let part = |index: usize| parts[index].parse::<u64>().unwrap();
    // 2026-11-01 00:00:00 UTC.
    Some(1_793_491_200 + (part(1) - 1) * 86_400 + part(2) * 3_600 + part(3) * 60 + part(4))
}

fn escape(text: &str) -> String {
    text.replace(':', "%3A").replace('@', "%40").replace('!', "%21").replace('/', "%2F")
}

/// A simulator that answers, and what recorded names are called there.
pub struct Player {
    pub simulator: Simulator,
    ticket: String,
    csrf: String,
    pub tokens: BTreeMap<&'static str, String>,
    pub names: Vec<(String, String)>,
    /// The recorded time of the row before; 0 before the first.
    last: u64,
    /// Of programs that the guest agent runs.
    pids: BTreeMap<String, String>,
    pub task_ids: Regex,
    pub backups: Regex,
}

impl Player {
    /// The machine of the recordings of 8.4 and 9.2, at the time of the first row.
    pub async fn start(version: Version, rows: &[Row]) -> Self {
        let begun = rows.iter().find_map(|row| seconds(row.response.header("Date")?)).unwrap();
        let player = Self::with(version, include_str!("machine.toml"), begun).await;
        let simulator = &player.simulator;
        // 500 has no system on its disk; 505 is a clone of one that has.
        let agent = AgentBehaviour::Never;
        simulator.script_guest(500, Script { agent, ignores_acpi: true, ..Script::default() });
        let agent_after = Duration::from_secs(6);
        simulator.script_guest(505, Script { agent_after, ..Script::default() });
        player
    }

    /// A machine after a description, at a time in seconds since the epoch.
    pub async fn with(version: Version, machine: &str, begun: u64) -> Self {
        let mut seed = Seed::from_toml(machine).unwrap();
        seed.version = version;
        let clock = Arc::new(ManualClock::at(Duration::from_secs(begun)));
        let builder = Simulator::builder().seed(seed).clock(clock).check_answers();
        let simulator = builder.start("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let client = crate::support::Client { simulator: simulator.clone(), auth: String::new() };
        let login = format!("username=root@pam&password={PASSWORD}");
        let data = client.post("/access/ticket", &login).await.data();
        Self {
            simulator,
            ticket: data["ticket"].as_str().unwrap().to_owned(),
            csrf: data["CSRFPreventionToken"].as_str().unwrap().to_owned(),
            tokens: BTreeMap::new(),
            names: Vec::new(),
            last: 0,
            pids: BTreeMap::new(),
            task_ids: Regex::new(
                r"UPID:[^:]+:[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:\w+:[^:]*:[^:]+:",
            )
            .unwrap(),
            backups: Regex::new(
                r"vzdump-(?:qemu|lxc)-\d+-\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d\.[a-z.]*[a-z]",
            )
            .unwrap(),
        }
    }

    /// Where answers contradicted the schema.
    pub fn contradictions(&self) -> Vec<String> {
        crate::answers::contradictions(&self.simulator)
    }

    /// Sends a row's request; answers the request as text, and what differs.
    pub async fn play(&mut self, row: &Row) -> (String, Vec<String>) {
        self.wait_for(row).await;
        let request = self.request(row);
        let answer = raw(&self.simulator, request.as_bytes()).await;
        let shown = request.split("\r\n\r\n").last().unwrap_or_default();
        let shown: String = shown.chars().take(200).collect();
        let line = request.lines().next().unwrap_or_default();
        let shown = format!("  {line}\n  {shown}");
        let Some(answer) = answer else {
            return (shown, vec!["the connection was closed without an answer".into()]);
        };
        self.learn(row, &answer);
        (shown, compare(row, &answer))
    }

    /// Lets the time pass that had passed since the row before, and waits for a
    /// task that had ended.
    async fn wait_for(&mut self, row: &Row) {
        if let Some(at) = row.response.header("Date").and_then(seconds) {
            let passed = at.saturating_sub(std::mem::replace(&mut self.last, at));
            if passed < at {
                self.simulator.advance(Duration::from_secs(passed)).await;
            }
        }
        let body = row.response.body.as_deref().unwrap_or_default();
        let ended = row.request.path.ends_with("/status") && body.contains("\"stopped\"");
        if !(row.request.path.contains("/tasks/UPID") && ended) {
            return;
        }
        let root = format!(
            "GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: PVEAuthCookie={}\r\n\r\n",
            self.translate(&row.request.path),
            escape(&self.ticket)
        );
        for _ in 0..100 {
            let answer = raw(&self.simulator, root.as_bytes()).await;
            let runs = answer.is_some_and(|answer| answer.body.contains("\"running\""));
            if !runs || !self.simulator.step().await {
                return;
            }
        }
    }

    fn translate(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (recorded, here) in &self.names {
            text = text.replace(&escape(recorded), &escape(here)).replace(recorded, here);
        }
        text
    }

    fn request(&self, row: &Row) -> String {
        let asked = &row.request;
        let query: Vec<String> = asked
            .query
            .iter()
            .map(|(key, value)| {
                let pid = (key == "pid").then(|| self.pids.get(value)).flatten();
                format!(
                    "{key}={}",
                    escape(pid.unwrap_or(value)).replace(' ', "%20").replace('=', "%3D")
                )
            })
            .collect();
        let mut target = asked.path.clone();
        if !query.is_empty() {
            target = format!("{target}?{}", query.join("&"));
        }
        let mut text = format!(
            "{} {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}",
            asked.method,
            self.translate(&target),
            self.credentials(row)
        );
        for (name, value) in &asked.headers {
            if matches!(name.as_str(), "Content-Type" | "Transfer-Encoding") {
                text += &format!("{name}: {value}\r\n");
            }
        }
        let body = asked.body.as_deref().map(|body| {
            self.translate(body).replace("REDACTED-PASSWORD", PASSWORD).replace(
                "REDACTED-TICKET",
                &escape(&self.ticket).replace('=', "%3D").replace('+', "%2B"),
            )
        });
        // The recording keeps only the beginning of the body that was too large.
        let body = body.map(|body| match row.name.as_str() {
            "http.too-large" => body + &"a".repeat(600 * 1024),
            _ => body,
        });
        if let Some(body) = &body
            && !asked.headers.contains_key("Transfer-Encoding")
        {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        format!("{text}\r\n{}", body.unwrap_or_default())
    }

    fn credentials(&self, row: &Row) -> String {
        let cookie = |ticket: &str| {
            format!("Cookie: PVEAuthCookie={}\r\n", escape(ticket).replace('=', "%3D"))
        };
        let token = |name: &str| {
            let known = self.tokens.get(name).cloned();
            known.unwrap_or_else(|| "root@pam!none=00000000-0000-4000-8000-00000000ffff".into())
        };
        let authorization = |text: &str| format!("Authorization: {text}\r\n");
        match row.request.auth.as_str() {
            "none" => String::new(),
            "forged" => cookie(&self.ticket.replace("PVE:root", "PVE:boot")),
            "garbage" => cookie("garbage"),
            "nocsrf" => cookie(&self.ticket),
            "badcsrf" => cookie(&self.ticket) + "CSRFPreventionToken: 6B000000:nope\r\n",
            "authz-cookie" => authorization(&format!("PVEAuthCookie={}", escape(&self.ticket))),
            "badtoken" => {
                authorization("PVEAPIToken=root@pam!none=00000000-0000-4000-8000-000000000000")
            }
            "malformed-token" => authorization("PVEAPIToken=nonsense"),
            "ticket" if row.request.headers.contains_key("CSRFPreventionToken") => {
                format!("{}CSRFPreventionToken: {}\r\n", cookie(&self.ticket), self.csrf)
            }
            "ticket" => cookie(&self.ticket),
            name => authorization(&format!("PVEAPIToken={}", token(name))),
        }
    }

    /// Remembers what recorded names are called here.
    fn learn(&mut self, row: &Row, answer: &Answer) {
        let recorded = row.response.body.as_deref().unwrap_or_default();
        for pattern in [&self.task_ids, &self.backups] {
            // The kind, guest and caller tell what belongs together; equal ones come in order.
            let key = |name: &str| -> String {
                let parts: Vec<&str> = name.split([':', '-', '.']).collect();
                match parts.as_slice() {
                    ["UPID", node, _, _, _, rest @ ..] => format!("{node} {rest:?}"),
                    [_, kind, vmid, _, _, rest @ ..] => format!("{kind} {vmid} {rest:?}"),
                    other => format!("{other:?}"),
                }
            };
            let mut here: Vec<&str> =
                pattern.find_iter(&answer.body).map(|found| found.as_str()).collect();
            let mut there: Vec<&str> =
                pattern.find_iter(recorded).map(|found| found.as_str()).collect();
            here.sort_unstable();
            there.sort_unstable();
            for name in there {
                let found = here.iter().position(|one| key(one) == key(name));
                let known = self.names.iter().any(|(one, _)| one == name);
                if let Some(found) = found {
                    let live = here.remove(found);
                    if !known {
                        self.names.push((name.to_owned(), live.to_owned()));
                    }
                }
            }
        }
        let pid = |body: &str| {
            let body = serde_json::from_str::<Value>(body).ok()?;
            Some(body["data"]["pid"].as_u64()?.to_string())
        };
        if row.request.path.ends_with("/agent/exec")
            && let (Some(there), Some(here)) = (pid(recorded), pid(&answer.body))
        {
            self.pids.insert(there, here);
        }
        let names = [
            ("token.create", "token"),
            ("token.create-privsep", "privsep"),
            ("token.create-root", "roottoken"),
        ];
        if let Some((_, kind)) = names.iter().find(|(name, _)| *name == row.name)
            && let Ok(body) = serde_json::from_str::<Value>(&answer.body)
            && let (Some(id), Some(secret)) =
                (body["data"]["full-tokenid"].as_str(), body["data"]["value"].as_str())
        {
            self.tokens.insert(kind, format!("{id}={secret}"));
        }
    }
}

fn compare(row: &Row, answer: &Answer) -> Vec<String> {
    let recorded = &row.response;
    let mut found = Vec::new();
    if recorded.status != answer.status
        || shape::text(&recorded.reason) != shape::text(&answer.reason)
    {
        found.push(format!(
            "recorded {} {:?}, here {} {:?}",
            recorded.status, recorded.reason, answer.status, answer.reason
        ));
    }
    let (there, here) = (recorded.header("Content-Type"), answer.header("Content-Type"));
    if there != here.first().copied() {
        found.push(format!("Content-Type: recorded {there:?}, here {here:?}"));
    }
    found.extend(shape::compare(recorded.body.as_deref().unwrap_or_default(), &answer.body));
    found
}
