use model::{ByteCount, Flavour, FlavourId};

use crate::Error;
use crate::db::{Connection, Row, Tx, Value, int, text};
use crate::feed::FeedKind;

fn read(row: &Row) -> Result<Flavour, Error> {
    let disk = row.opt_int("disk")?.is_some().then(|| row.uint("disk")).transpose()?;
    Ok(Flavour {
        id: row.parsed("id")?,
        name: row.text("name")?,
        cores: row.small("cores")?,
        memory: ByteCount::bytes(row.uint("memory")?),
        disk: disk.map(ByteCount::bytes),
    })
}

pub(crate) async fn put(tx: &mut Tx, flavour: &Flavour) -> Result<(), Error> {
    let put = "INSERT INTO flavours (id, name, cores, memory, disk) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (id) DO UPDATE SET name = excluded.name, cores = excluded.cores,
            memory = excluded.memory, disk = excluded.disk";
    let disk = flavour.disk.map_or(Ok(Value::Int(None)), |disk| int(disk.as_bytes()))?;
    let memory = int(flavour.memory.as_bytes())?;
    let name = flavour.name.as_str().into();
    tx.db.execute(put, &[text(flavour.id), name, flavour.cores.into(), memory, disk]).await?;
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
