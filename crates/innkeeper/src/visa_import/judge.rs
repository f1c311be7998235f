//! What would become of each row of the old tables: decided from facts alone, so
//! that a dry run says what the real one does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use api::visa::flavour_id::{from_text, to_text};
use model::{ByteCount, Flavour, FlavourId, ImageId, InstanceId};
use provider::GuestView;
use store::{OldFlavour, OldInstance};

/// What a number means already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It was taken over; the word is its state.
    Taken(String),
    /// It was to be taken over, and that failed.
    Failed(String),
    /// It was taken over and is gone.
    Gone,
}

/// What there is.
#[derive(Debug, Default)]
pub(super) struct World {
    /// The cluster's guests by vmid.
    pub guests: BTreeMap<String, GuestView>,
    /// The templates by vmid. Without an id one is not written down yet.
    pub images: BTreeMap<String, Option<ImageId>>,
    /// Our flavours.
    pub flavours: Vec<Flavour>,
    /// Whose the guests are that instances of ours have.
    pub claimed: BTreeMap<String, InstanceId>,
    /// What the door's clients know already, by number.
    pub known: BTreeMap<String, Known>,
    /// The vmids whose documents the metadata server has.
    pub seeds: BTreeSet<String>,
    /// Guests that may have another name than the old table says.
    pub renamed: BTreeSet<String>,
}

/// What becomes of a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict<T> {
    /// It is taken over.
    Take(T),
    /// It is there already.
    There(String),
    /// It is left out, and why.
    Leave(String),
}

/// What is taken over of an instance.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Guest {
    pub flavour: Option<FlavourId>,
    pub image: Option<ImageId>,
    /// What it will lack.
    pub remarks: Vec<String>,
    /// As the cluster sees it: what it is now.
    pub power: String,
}

impl<T> fmt::Display for Verdict<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Take(_) => f.write_str("take over"),
            Self::There(what) => write!(f, "there already ({what})"),
            Self::Leave(why) => write!(f, "left out: {why}"),
        }
    }
}

/// A row's flavour as ours, or why it cannot be one.
pub(super) fn flavour(row: &OldFlavour, others: &[OldFlavour], world: &World) -> Verdict<Flavour> {
    let Some(id) = from_text(&row.id) else {
        return Verdict::Leave(
            "its id cannot be kept (expected a UUID, or 1 to 14 printable ASCII characters): add \
             a flavour and enter its id in VISA"
                .to_owned(),
        );
    };
    if let Some(ours) = world.flavours.iter().find(|ours| ours.id == id) {
        return Verdict::There(format!("named {}", ours.name));
    }
    let (Ok(cores @ 1..), Ok(memory @ 1..)) =
        (u32::try_from(row.cores), u64::try_from(row.memory_gib))
    else {
        return Verdict::Leave(format!(
            "expected at least 1 core and 1 GiB, got {} and {}",
            row.cores, row.memory_gib
        ));
    };
    // Names are unique here; they were not there.
    let same = |name: &str| name == row.name;
    let first = others.iter().find(|other| same(&other.name)).is_some_and(|it| it.id == row.id);
    let taken = world.flavours.iter().any(|ours| same(&ours.name));
    let name = match first && !taken {
        true => row.name.clone(),
        false => format!("{} ({})", row.name, to_text(id)),
    };
    let disk = u64::try_from(row.disk_gib).ok().filter(|disk| *disk > 0).map(ByteCount::gib);
    let memory = ByteCount::gib(memory);
    Verdict::Take(Flavour { id, name, cores, memory, disk, devices: Vec::new() })
}

/// What becomes of an instance's row. `flavours` are those that there will be.
pub(super) fn instance(
    row: &OldInstance,
    flavours: &BTreeSet<FlavourId>,
    world: &World,
) -> Verdict<Guest> {
    let leave = |why: String| Verdict::Leave(why);
    match world.known.get(&row.id) {
        Some(Known::Taken(state)) => return Verdict::There(state.clone()),
        Some(Known::Gone) => return leave("it was taken over and is deleted since".to_owned()),
        Some(Known::Failed(_)) | None => {}
    }
    let numeric = !row.id.is_empty() && row.id.len() <= 9;
    if !numeric || !row.id.bytes().all(|byte| byte.is_ascii_digit()) || row.id.starts_with('0') {
        return leave("its id is no vmid".to_owned());
    }
    if world.images.contains_key(&row.id) {
        return leave("a template stands there".to_owned());
    }
    let Some(guest) = world.guests.get(&row.id) else {
        return leave("the cluster has no VM with this id (any more)".to_owned());
    };
    if let Some(id) = world.claimed.get(&row.id) {
        return leave(format!("the VM belongs to the instance {id}"));
    }
    if guest.name != row.name && !world.renamed.contains(&row.id) {
        return leave(format!(
            "the VM there is called {:?}: it may be another one that got the same id; if it is \
             not, say --renamed {}",
            guest.name, row.id
        ));
    }
    let flavour = from_text(&row.flavour).filter(|id| flavours.contains(id));
    let image = world.images.get(&row.image).copied();
    let mut remarks = Vec::new();
    if let Some(Known::Failed(reason)) = world.known.get(&row.id) {
        remarks.push(format!("again, because {reason}"));
    }
    if flavour.is_none() {
        remarks.push(format!("its flavour {:?} is not taken over", row.flavour));
    }
    if image.is_none() {
        remarks.push(format!("its template {:?} is gone", row.image));
    }
    if !world.seeds.contains(&row.id) {
        remarks.push("the metadata server has no documents of it".to_owned());
    }
    let power = format!("{:?}", guest.power).to_lowercase();
    Verdict::Take(Guest { flavour, image: image.flatten(), remarks, power })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use model::{PowerState, Timestamp};

    use super::*;

    fn old(id: &str, name: &str) -> OldInstance {
        OldInstance {
            id: id.to_owned(),
            name: name.to_owned(),
            flavour: "1".to_owned(),
            image: "9000".to_owned(),
            created_at: Timestamp::default(),
            metadata: String::new(),
            boot_command: String::new(),
            status: "ACTIVE".to_owned(),
        }
    }

    fn view(key: &str, name: &str) -> (String, GuestView) {
        let guest = GuestView {
            key: key.to_owned(),
            name: name.to_owned(),
            host: "pve1".parse().unwrap(),
            power: PowerState::Stopped,
            labelled: false,
        };
        (key.to_owned(), guest)
    }

    fn why(id: &str, name: &str, world: &World) -> String {
        instance(&old(id, name), &BTreeSet::new(), world).to_string()
    }

    #[test]
    fn what_is_not_certainly_the_old_providers_guest_is_left_out_with_the_reason() {
        let mut world = World {
            guests: [view("100", "VISA-INSTANCE-1"), view("101", "other")].into(),
            images: [("9000".to_owned(), None)].into(),
            known: [("102".to_owned(), Known::Gone)].into(),
            ..World::default()
        };
        for (id, name, expected) in [
            ("103", "gone", "has no VM with this id"),
            ("101", "VISA-INSTANCE-2", "is called \"other\""),
            ("9000", "debian", "a template stands there"),
            ("102", "x", "is deleted since"),
            ("1e2", "x", "its id is no vmid"),
            ("0100", "x", "its id is no vmid"),
        ] {
            let text = why(id, name, &world);
            assert!(text.starts_with("left out: ") && text.contains(expected), "{id}: {text}");
        }
        assert_eq!(why("100", "VISA-INSTANCE-1", &world), "take over");
        world.renamed.insert("101".to_owned());
        assert_eq!(why("101", "VISA-INSTANCE-2", &world), "take over");
        world.known.insert("100".to_owned(), Known::Taken("running".to_owned()));
        assert_eq!(why("100", "VISA-INSTANCE-1", &world), "there already (running)");
    }

    #[test]
    fn flavours_keep_their_ids_and_get_names_of_their_own() {
        let row = |id: &str, name: &str, memory_gib| OldFlavour {
            id: id.to_owned(),
            name: name.to_owned(),
            cores: 2,
            memory_gib,
            disk_gib: 0,
        };
        let rows = [row("1", "small", 4), row("2", "small", 8), row("3", "none", 0)];
        let verdict = |at: usize| flavour(&rows[at], &rows, &World::default());
        let Verdict::Take(first) = verdict(0) else { panic!("{}", verdict(0)) };
        assert_eq!((to_text(first.id).as_str(), first.name.as_str()), ("1", "small"));
        assert_eq!((first.memory, first.disk), (ByteCount::gib(4), None));
        let Verdict::Take(second) = verdict(1) else { panic!("{}", verdict(1)) };
        assert_eq!(second.name, "small (2)");
        assert!(verdict(2).to_string().contains("at least 1 core and 1 GiB, got 2 and 0"));
        let long = row("a-flavour-with-a-long-id", "x", 1);
        let text = flavour(&long, &[], &World::default()).to_string();
        assert!(text.contains("its id cannot be kept"), "{text}");
    }
}
