use model::{ByteCount, Image, ImageId};

use crate::Error;
use crate::change::ImageUpdate;
use crate::db::{Connection, Row, Tx, Value, int, json, text};
use crate::feed::FeedKind;

fn read(row: &Row) -> Result<Image, Error> {
    let size = row.opt_int("size")?.is_some().then(|| row.uint("size")).transpose()?;
    Ok(Image {
        id: row.parsed("id")?,
        name: row.text("name")?,
        provider: row.parsed("provider")?,
        size: size.map(ByteCount::bytes),
        presence: row.json("presence")?,
        native: row.json("native")?,
        seen_at: row.time("seen_at")?,
    })
}

pub(crate) async fn put(tx: &mut Tx, image: &Image) -> Result<(), Error> {
    let put = "INSERT INTO images (id, name, provider, size, presence, native, seen_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (id) DO UPDATE SET name = excluded.name, provider = excluded.provider,
            size = excluded.size, presence = excluded.presence, native = excluded.native,
            seen_at = excluded.seen_at";
    let parameters = [
        text(image.id),
        image.name.as_str().into(),
        text(&image.provider),
        image.size.map_or(Ok(Value::Int(None)), |size| int(size.as_bytes()))?,
        json(&image.presence)?,
        json(&image.native)?,
        image.seen_at.into(),
    ];
    tx.db.execute(put, &parameters).await?;
    tx.touch(FeedKind::Image, image.id);
    Ok(())
}

pub(crate) async fn update(tx: &mut Tx, id: ImageId, update: ImageUpdate) -> Result<(), Error> {
    let Some(mut image) = get(&mut tx.db, id).await? else {
        return Ok(());
    };
    image.size = update.size.unwrap_or(image.size);
    image.presence = update.presence.unwrap_or(image.presence);
    image.native = update.native.unwrap_or(image.native);
    image.seen_at = update.seen_at.unwrap_or(image.seen_at);
    put(tx, &image).await
}

pub(crate) async fn get(db: &mut Connection, id: ImageId) -> Result<Option<Image>, Error> {
    let row = db.fetch_one("SELECT * FROM images WHERE id = $1", &[text(id)]).await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn list(db: &mut Connection) -> Result<Vec<Image>, Error> {
    let select = "SELECT * FROM images ORDER BY provider, name LIMIT 10000";
    db.fetch_all(select, &[]).await?.iter().map(read).collect()
}
