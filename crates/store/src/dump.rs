//! The whole world of the store, for tests that compare worlds.

use serde_json::{Map, Value as Json};

use crate::Error;
use crate::db::{Row, Tx};
use crate::store::Store;

/// What a column holds.
#[derive(Clone, Copy)]
enum Column {
    Text(&'static str),
    Int(&'static str),
    Json(&'static str),
    /// Only whether it is there.
    Secret(&'static str),
}

use Column::{Int, Json as Structure, Secret, Text};

struct Table {
    name: &'static str,
    select: &'static str,
    columns: &'static [Column],
}

/// All tables but those that only grow (journal, feed, events, epochs), without
/// times and sequences. Of workflows those that have not ended; of reserved ids
/// those that are not retired.
const TABLES: &[Table] = &[
    Table {
        name: "instances",
        select: "SELECT * FROM instances ORDER BY id",
        columns: &[
            Text("id"),
            Text("project"),
            Text("managed_by"),
            Text("provider"),
            Text("name"),
            Structure("spec"),
            Int("generation"),
            Text("phase"),
            Text("attempt"),
            Int("attempts"),
            Structure("native"),
            Structure("observed"),
            Structure("fault"),
            Structure("snapshots"),
            Text("ownership"),
            Structure("expiry"),
        ],
    },
    Table {
        name: "operations",
        select: "SELECT * FROM operations ORDER BY id",
        columns: &[
            Text("id"),
            Text("kind"),
            Text("instance"),
            Text("instance_name"),
            Text("project"),
            Text("asked_by"),
            Text("state"),
            Text("reason"),
            Structure("left_behind"),
        ],
    },
    Table {
        name: "workflows",
        select: "SELECT * FROM workflows WHERE status <> 'ended' ORDER BY id",
        columns: &[
            Text("id"),
            Text("kind"),
            Text("status"),
            Int("cancellable"),
            Int("cancel_requested"),
            Text("claim"),
            Structure("outcome"),
            Structure("wait"),
            Text("limit_key"),
            Text("parent"),
            Int("position"),
        ],
    },
    Table {
        name: "claims",
        select: "SELECT * FROM claims ORDER BY resource",
        columns: &[Text("resource"), Text("workflow"), Text("next_workflow")],
    },
    Table {
        name: "limits_held",
        select: "SELECT * FROM limits_held ORDER BY key, workflow",
        columns: &[Text("key"), Text("workflow")],
    },
    Table {
        name: "aliases",
        select: "SELECT *, CASE WHEN removed_at IS NULL THEN 0 ELSE 1 END AS removed FROM aliases
            ORDER BY door, scope, external_id",
        columns: &[
            Text("door"),
            Text("scope"),
            Text("external_id"),
            Text("instance"),
            Int("removed"),
        ],
    },
    Table {
        name: "annotations",
        select: "SELECT owner, door, key, sealed,
                CASE WHEN sealed = 1 THEN NULL ELSE value END AS value
            FROM annotations ORDER BY owner, door, key",
        columns: &[Text("owner"), Text("door"), Text("key"), Text("value"), Int("sealed")],
    },
    Table {
        name: "secrets",
        select: "SELECT * FROM secrets ORDER BY id",
        columns: &[Text("id"), Text("owner"), Secret("envelope")],
    },
    Table {
        name: "seeds",
        select: "SELECT * FROM seeds ORDER BY instance",
        columns: &[Text("instance"), Secret("token_hash"), Text("token"), Text("documents")],
    },
    Table {
        name: "reserved_ids",
        select: "SELECT * FROM reserved_ids WHERE free_at IS NULL ORDER BY pool, value",
        columns: &[
            Text("pool"),
            Int("value"),
            Text("owner"),
            Text("attempt"),
            Int("ordinal"),
            Text("mark"),
        ],
    },
    Table {
        name: "images",
        select: "SELECT * FROM images ORDER BY id",
        columns: &[
            Text("id"),
            Text("name"),
            Text("provider"),
            Int("size"),
            Structure("presence"),
            Structure("native"),
        ],
    },
    Table {
        name: "flavours",
        select: "SELECT * FROM flavours ORDER BY id",
        columns: &[Text("id"), Text("name"), Int("cores"), Int("memory"), Int("disk")],
    },
    Table {
        name: "tokens",
        select: "SELECT *, CASE WHEN revoked_at IS NULL THEN 0 ELSE 1 END AS revoked
            FROM tokens ORDER BY id",
        columns: &[
            Text("id"),
            Text("name"),
            Text("project"),
            Text("role"),
            Secret("secret_hash"),
            Int("revoked"),
        ],
    },
];

impl Store {
    /// Everything that the store holds, by table, as it is between two commits:
    /// without records that only grow, without times and sequences, and of
    /// secrets only that they are there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn dump(&self) -> Result<Json, Error> {
        self.write(|tx| Box::pin(dump(tx))).await
    }
}

async fn dump(tx: &mut Tx) -> Result<Json, Error> {
    let mut world = Map::new();
    for table in TABLES {
        let rows = tx.db.fetch_all(table.select, &[]).await?;
        let rows = rows.iter().map(|row| object(row, table.columns));
        world.insert(table.name.to_owned(), Json::Array(rows.collect::<Result<_, _>>()?));
    }
    Ok(Json::Object(world))
}

fn object(row: &Row, columns: &[Column]) -> Result<Json, Error> {
    let mut object = Map::new();
    for column in columns {
        let (name, value) = match *column {
            Text(name) => (name, row.opt_text(name)?.map(Json::from)),
            Int(name) => (name, row.opt_int(name)?.map(Json::from)),
            Structure(name) => (name, row.opt_json(name)?.map(without_times)),
            Secret(name) => (name, row.opt_text(name)?.map(|_| Json::from("present"))),
        };
        object.insert(name.to_owned(), value.unwrap_or(Json::Null));
    }
    Ok(Json::Object(object))
}

/// A structure without its times, which are called `at` everywhere.
fn without_times(mut value: Json) -> Json {
    match &mut value {
        Json::Object(object) => {
            object.remove("at");
            for field in object.values_mut() {
                *field = without_times(field.take());
            }
        }
        Json::Array(items) => {
            for item in items {
                *item = without_times(item.take());
            }
        }
        _ => {}
    }
    value
}
