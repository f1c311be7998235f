//! What all objects in section files have in common: list, create, read,
//! update with `delete` and `digest`, delete.

use serde_json::{Map, Value, json};

use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::Table;
use crate::world::World;
use crate::world::sections::Section;

/// The text for a change that was based on another version.
pub(crate) const MODIFIED: &str =
    "detected modified configuration - file changed by other user? Try again.";

/// What is done to an object, for the text of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Read,
    Update,
    Delete,
}

/// How one kind of object is kept and shown.
pub(crate) struct Spec {
    /// The name of the section file.
    pub file: &'static str,
    /// The parameter with the id, which is also its name in answers.
    pub id: &'static str,
    /// A path at which an object is created; its schema says which options are numbers.
    pub create: &'static str,
    /// The parameter with the type, when there is one.
    pub kind: Option<&'static str>,
    /// Options that are never shown (passwords).
    pub secret: &'static [&'static str],
    /// The refusal when an id is taken.
    pub taken: fn(&str) -> Fail,
    /// The refusal when there is no such object.
    pub missing: fn(&str, Act) -> Fail,
}

/// Splits a list as Proxmox does: at commas, semicolons and white space.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ';', ' ', '\t', '\n', '\0']).filter(|word| !word.is_empty())
}

/// A list in the form in which it is stored, between the texts of other options.
pub(crate) fn store_list(list: &[String]) -> String {
    list.iter().map(|item| format!("\0{item}")).collect()
}

/// A stored text as the API shows it, by the type that the schema gives it.
pub(crate) fn typed(world: &World, path: &str, name: &str, text: &str) -> Value {
    if let Some(list) = text.strip_prefix('\0') {
        return list.split('\0').map(|item| json!(item)).collect();
    }
    let table = Table::of(world.version);
    let found = table.find("POST", path).or_else(|| table.find("PUT", path));
    let method = found.map(|(index, _)| &table.methods[index]);
    let kind = method.and_then(|method| method.parameter(name)).map(|known| known.kind.as_str());
    let number = match kind {
        Some("boolean" | "integer" | "number") => serde_json::from_str::<Value>(text).ok(),
        _ => None,
    };
    number.filter(Value::is_number).unwrap_or_else(|| json!(text))
}

/// Parameters that are about the call, not the object.
const NOT_OPTIONS: &[&str] = &["digest", "delete", "node", "lock-token"];

impl Spec {
    /// One object as the API shows it.
    pub fn show(&self, world: &World, id: &str, section: &Section) -> Value {
        let mut row = Map::new();
        for (name, text) in &section.values {
            if !self.secret.contains(&name.as_str()) {
                row.insert(name.clone(), typed(world, self.create, name, text));
            }
        }
        row.insert(self.id.into(), json!(id));
        if let Some(kind) = self.kind {
            row.insert(kind.into(), json!(section.kind));
        }
        row.insert("digest".into(), json!(world.sections.digest(self.file)));
        Value::Object(row)
    }

    /// All objects.
    pub fn list(&self, call: &Call<'_>) -> Result<Value, Fail> {
        let world = &*call.world;
        Ok(world
            .sections
            .all(self.file)
            .map(|(id, section)| self.show(world, id, section))
            .collect())
    }

    /// One object.
    pub fn read(&self, call: &Call<'_>) -> Result<Value, Fail> {
        let id = call.params.text(self.id);
        let found = call.world.sections.get(self.file, id);
        let section = found.ok_or_else(|| (self.missing)(id, Act::Read))?;
        Ok(self.show(call.world, id, section))
    }

    /// The options among the parameters of a call.
    pub fn given(&self, call: &Call<'_>) -> Section {
        let mut section = Section::default();
        for (name, text) in &call.params.texts {
            if Some(name.as_str()) == self.kind {
                section.kind.clone_from(text);
            } else if name != self.id && !NOT_OPTIONS.contains(&name.as_str()) {
                section.values.insert(name.clone(), text.clone());
            }
        }
        for (name, list) in &call.params.lists {
            if name != "delete" {
                section.values.insert(name.clone(), store_list(list));
            }
        }
        section
    }

    /// Adds an object.
    pub fn create(&self, call: &mut Call<'_>) -> Result<Value, Fail> {
        let id = call.params.text(self.id).to_owned();
        let section = self.given(call);
        self.insert(call, &id, section)
    }

    /// Adds an object that was put together by the caller.
    pub fn insert(&self, call: &mut Call<'_>, id: &str, section: Section) -> Result<Value, Fail> {
        if call.world.sections.get(self.file, id).is_some() {
            return Err((self.taken)(id));
        }
        call.world.sections.insert(self.file, id, section);
        Ok(Value::Null)
    }

    /// Refuses a change that was based on another version.
    pub fn check_digest(&self, call: &Call<'_>) -> Result<(), Fail> {
        match call.params.get("digest") {
            Some(given) if given != call.world.sections.digest(self.file) => {
                Err(Fail::new(MODIFIED))
            }
            _ => Ok(()),
        }
    }

    /// Sets and deletes options.
    pub fn update(&self, call: &mut Call<'_>) -> Result<Value, Fail> {
        let id = call.params.text(self.id).to_owned();
        if call.world.sections.get(self.file, &id).is_none() {
            return Err((self.missing)(&id, Act::Update));
        }
        self.check_digest(call)?;
        let given = self.given(call);
        let gone: Vec<String> = words(call.params.text("delete")).map(str::to_owned).collect();
        if let Some(name) = gone.iter().find(|name| given.values.contains_key(*name)) {
            let text = format!("unable to set and delete property '{name}' at the same time!");
            return Err(Fail::parameter("delete", text));
        }
        let Some(section) = call.world.sections.get_mut(self.file, &id) else {
            return Ok(Value::Null);
        };
        for name in gone {
            section.values.remove(&name);
        }
        section.values.extend(given.values);
        Ok(Value::Null)
    }

    /// Removes an object.
    pub fn delete(&self, call: &mut Call<'_>) -> Result<Value, Fail> {
        let id = call.params.text(self.id);
        let gone = call.world.sections.remove(self.file, id);
        gone.map(|_| Value::Null).ok_or_else(|| (self.missing)(id, Act::Delete))
    }
}
