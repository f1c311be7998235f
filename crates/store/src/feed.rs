//! What has changed: the feed of the read model.

use model::Timestamp;

use crate::Error;
use crate::db::{Connection, Tx, Value, int, text};

/// What a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FeedKind {
    /// An instance, or the operation that its row shows.
    Instance,
    /// An operation or its journal.
    Operation,
    /// An image.
    Image,
    /// A flavour.
    Flavour,
}

impl FeedKind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Operation => "operation",
            Self::Image => "image",
            Self::Flavour => "flavour",
        }
    }

    fn parse(text: &str) -> Result<Self, Error> {
        [Self::Instance, Self::Operation, Self::Image, Self::Flavour]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| Error::Corrupt(format!("feed: unknown kind {text:?}")))
    }
}

/// Something that has changed, or that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedItem {
    /// The number of its latest change.
    pub sequence: u64,
    /// What it is.
    pub kind: FeedKind,
    /// Its id.
    pub id: String,
}

/// The most items of one answer.
pub(crate) const MOST_ITEMS: i64 = 10_000;

pub(crate) async fn put(
    tx: &mut Tx,
    kind: FeedKind,
    id: String,
    sequence: i64,
) -> Result<(), Error> {
    let put = "INSERT INTO feed (kind, id, sequence, at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (kind, id) DO UPDATE SET sequence = excluded.sequence, at = excluded.at";
    let now = tx.now;
    tx.db.execute(put, &[kind.as_str().into(), id.into(), sequence.into(), now.into()]).await?;
    Ok(())
}

pub(crate) async fn since(db: &mut Connection, sequence: u64) -> Result<Vec<FeedItem>, Error> {
    let select = "SELECT kind, id, sequence FROM feed WHERE sequence > $1
        ORDER BY sequence LIMIT $2";
    let rows = db.fetch_all(select, &[int(sequence)?, MOST_ITEMS.into()]).await?;
    rows.iter()
        .map(|row| {
            Ok(FeedItem {
                sequence: row.uint("sequence")?,
                kind: FeedKind::parse(&row.text("kind")?)?,
                id: row.text("id")?,
            })
        })
        .collect()
}

/// Forgets things that are gone and changed last before this time.
pub(crate) async fn compact(tx: &mut Tx, before: Timestamp) -> Result<(), Error> {
    for (kind, gone) in [
        (
            FeedKind::Instance,
            "DELETE FROM feed WHERE kind = $1 AND at < $2
                AND NOT EXISTS (SELECT 1 FROM instances WHERE instances.id = feed.id)",
        ),
        (
            FeedKind::Operation,
            "DELETE FROM feed WHERE kind = $1 AND at < $2
                AND NOT EXISTS (SELECT 1 FROM operations WHERE operations.id = feed.id)",
        ),
        (
            FeedKind::Image,
            "DELETE FROM feed WHERE kind = $1 AND at < $2
                AND NOT EXISTS (SELECT 1 FROM images WHERE images.id = feed.id)",
        ),
        (
            FeedKind::Flavour,
            "DELETE FROM feed WHERE kind = $1 AND at < $2
                AND NOT EXISTS (SELECT 1 FROM flavours WHERE flavours.id = feed.id)",
        ),
    ] {
        let parameters: [Value; 2] = [text(kind.as_str()), before.into()];
        tx.db.execute(gone, &parameters).await?;
    }
    Ok(())
}
