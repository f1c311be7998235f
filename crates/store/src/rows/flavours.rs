use model::{ByteCount, Flavour, FlavourId};

use crate::Error;
use crate::db::{Connection, Row, Tx, Value, int, json, text};
use crate::feed::FeedKind;

fn read(row: &Row) -> Result<Flavour, Error> {
    let disk = row.opt_int("disk")?.is_some().then(|| row.uint("disk")).transpose()?;
    Ok(Flavour {
        id: row.parsed("id")?,
        name: row.text("name")?,
        cores: row.small("cores")?,
        memory: ByteCount::bytes(row.uint("memory")?),
        disk: disk.map(ByteCount::bytes),
        devices: row.opt_json("devices")?.unwrap_or_default(),
    })
}

pub(crate) async fn put(tx: &mut Tx, flavour: &Flavour) -> Result<(), Error> {
    let put = "INSERT INTO flavours (id, name, cores, memory, disk, devices)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (id) DO UPDATE SET name = excluded.name, cores = excluded.cores,
            memory = excluded.memory, disk = excluded.disk, devices = excluded.devices";
    let disk = flavour.disk.map_or(Ok(Value::Int(None)), |disk| int(disk.as_bytes()))?;
    let memory = int(flavour.memory.as_bytes())?;
    let name = flavour.name.as_str().into();
    let devices = match flavour.devices.is_empty() {
        true => Value::Text(None),
        false => json(&flavour.devices)?,
    };
    let parameters = [text(flavour.id), name, flavour.cores.into(), memory, disk, devices];
    tx.db.execute(put, &parameters).await?;
    tx.touch(FeedKind::Flavour, flavour.id);
    Ok(())
}

pub(crate) async fn remove(tx: &mut Tx, id: FlavourId) -> Result<(), Error> {
    tx.db.execute("DELETE FROM flavours WHERE id = $1", &[text(id)]).await?;
    tx.touch(FeedKind::Flavour, id);
    Ok(())
}

pub(crate) async fn list(db: &mut Connection) -> Result<Vec<Flavour>, Error> {
    let select = "SELECT * FROM flavours ORDER BY name LIMIT 10000";
    db.fetch_all(select, &[]).await?.iter().map(read).collect()
}
