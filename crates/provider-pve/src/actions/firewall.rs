//! Attaches security groups: a rule for each in the guest's own firewall, in
//! the order asked for and before any other rule; the guest's firewall and that
//! of its interfaces switched on.
//!
//! Our rules carry the attempt in their comment: a template that was once one
//! of our guests brings its rules along, and those are not this guest's.

use async_trait::async_trait;
use model::Mark;
use provider::{ActionContext, Applied, Error, Probe};
use pve::firewall::Rule;
use pve::qemu::ConfigChange;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Carry, ours};
use crate::cluster::Cluster;
use crate::guest::Guest;

/// The action's name.
pub(crate) const NAME: &str = "firewall";

/// The action's payload.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Firewall {
    /// The groups in order.
    pub groups: Vec<String>,
}

/// One change to the rules. They are renumbered by each, so that they are read
/// again after each.
#[derive(Debug, PartialEq, Eq)]
enum Change<'a> {
    /// A rule for this group before all others.
    Insert(&'a str),
    /// The rule at this position goes.
    Remove(u32),
}

#[async_trait]
impl Carry for Firewall {
    async fn apply(&self, cluster: &Cluster, context: &ActionContext) -> Result<Applied, Error> {
        let guest = ours(cluster, context).await?;
        self.arrange(cluster, &guest, &comment(&context.mark)).await?;
        if self.groups.is_empty() {
            // Nothing of ours is left in force; what else stands there is not ours.
            return Ok(Applied::Done(json!({})));
        }
        if !cluster.firewall_options(&guest).await?.is_enabled() {
            cluster.enable_firewall(&guest).await?;
        }
        let guarded = guard(&guest)?;
        if !guarded.is_empty() {
            cluster.configure(&guest, guarded).await?;
        }
        Ok(Applied::Done(json!({})))
    }

    async fn probe(&self, cluster: &Cluster, context: &ActionContext) -> Result<Probe, Error> {
        let guest = ours(cluster, context).await?;
        let rules = cluster.rules(&guest).await?;
        let done = self.next(&rules, &comment(&context.mark)).is_none()
            && (self.groups.is_empty()
                || cluster.firewall_options(&guest).await?.is_enabled()
                    && guard(&guest)?.is_empty());
        Ok(match done {
            true => Probe::Done(json!({})),
            false => Probe::NotDone,
        })
    }
}

impl Firewall {
    async fn arrange(&self, cluster: &Cluster, guest: &Guest, comment: &str) -> Result<(), Error> {
        let first = cluster.rules(guest).await?;
        let most = first.len() + 2 * self.groups.len() + 1;
        let mut rules = first;
        for _ in 0..most {
            let digest = rules.first().and_then(|rule| rule.digest.clone());
            let digest = digest.as_deref();
            match self.next(&rules, comment) {
                None => return Ok(()),
                Some(Change::Insert(group)) => {
                    let mut rule = Rule::new("group", group);
                    rule.comment = Some(comment.to_owned());
                    cluster.add_rule(guest, &rule, digest).await?;
                }
                Some(Change::Remove(at)) => cluster.remove_rule(guest, at, digest).await?,
            }
            rules = cluster.rules(guest).await?;
        }
        match self.next(&rules, comment) {
            None => Ok(()),
            Some(_) => Err(Error::Busy(format!(
                "somebody else changes the firewall rules of VM {}",
                guest.vmid
            ))),
        }
    }

    /// The next change; `None` when our rules are the groups in their order.
    /// New rules go to the front, so that the last group is inserted first.
    fn next<'a>(&'a self, rules: &[Rule], comment: &str) -> Option<Change<'a>> {
        let ours: Vec<(usize, &Rule)> =
            rules.iter().enumerate().filter(|(_, rule)| is_ours(rule, comment)).collect();
        let wrong = |(index, rule): &&(usize, &Rule)| {
            let from_end = ours.iter().filter(|(other, _)| other > index).count();
            let wanted = self.groups.iter().rev().nth(from_end);
            !rule.enable || wanted != Some(&rule.action)
        };
        if let Some((index, rule)) = ours.iter().find(wrong) {
            let listed = u32::try_from(*index).unwrap_or(u32::MAX);
            return Some(Change::Remove(rule.pos.unwrap_or(listed)));
        }
        let missing = self.groups.len().checked_sub(ours.len() + 1)?;
        Some(Change::Insert(&self.groups[missing]))
    }
}

fn comment(mark: &Mark) -> String {
    format!("innkeeper/1 {}", mark.attempt)
}

fn is_ours(rule: &Rule, comment: &str) -> bool {
    rule.kind == "group" && rule.comment.as_deref().map(str::trim) == Some(comment)
}

/// What has to be sent so that the firewall guards every interface.
fn guard(guest: &Guest) -> Result<ConfigChange, Error> {
    let mut change = ConfigChange::new();
    let nics = guest.config.nics();
    let nics = nics.map_err(|error| Error::Malformed(error.to_string()))?;
    for (index, nic) in nics {
        if !nic.firewall() {
            let guarded = nic.with("firewall", true);
            let guarded = guarded.map_err(|error| Error::Malformed(error.to_string()))?;
            change = change.set(&format!("net{index}"), guarded);
        }
    }
    Ok(change)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(action: &str, comment: &str, enable: bool) -> Rule {
        let mut rule = Rule::new("group", action);
        rule.comment = Some(comment.to_owned());
        rule.enable = enable;
        rule
    }

    /// Carries out changes until there are none, as Proxmox would.
    fn settle(groups: &[&str], mut rules: Vec<Rule>) -> Vec<String> {
        let firewall = Firewall { groups: groups.iter().map(|&group| group.to_owned()).collect() };
        for _ in 0..20 {
            match firewall.next(&rules, "me") {
                None => break,
                Some(Change::Insert(group)) => rules.insert(0, rule(group, "me", true)),
                Some(Change::Remove(at)) => drop(rules.remove(at as usize)),
            }
        }
        assert_eq!(firewall.next(&rules, "me"), None);
        rules.into_iter().map(|rule| rule.action).collect()
    }

    #[test]
    fn groups_end_in_the_order_asked_for_from_any_beginning() {
        let me = |action: &str| rule(action, "me", true);
        let other = rule("web", "innkeeper/1 another attempt", true);
        assert_eq!(settle(&["a", "b"], vec![]), ["a", "b"]);
        assert_eq!(settle(&["a", "b"], vec![me("b")]), ["a", "b"]);
        assert_eq!(settle(&["a", "b"], vec![me("b"), me("a")]), ["a", "b"]);
        assert_eq!(settle(&["a", "b"], vec![me("a"), me("a"), me("b")]), ["a", "b"]);
        assert_eq!(settle(&["a"], vec![rule("a", "me", false)]), ["a"]);
        assert_eq!(settle(&["a", "a"], vec![]), ["a", "a"]);
        assert_eq!(settle(&["a", "b"], vec![other, me("x")]), ["a", "b", "web"]);
        assert_eq!(settle(&[], vec![me("a")]), Vec::<String>::new());
    }
}
