//! Projects, and what their instances use. Usage is counted in the transaction
//! that adds to it, so that no two requests take the same last room.

use model::{Instance, InstanceId, InstanceSpec, Intent, ProjectId, Timestamp};
use serde_json::Value as Json;

use crate::Error;
use crate::db::{Connection, Row, Tx, Value, int, text};

/// Amounts of what a project uses, or may use. Memory and disk are bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Instances.
    pub instances: u64,
    /// Cores.
    pub cores: u64,
    /// Memory.
    pub memory: u64,
    /// Disks.
    pub disk: u64,
}

/// The most of each; `None`: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Instances.
    pub instances: Option<u64>,
    /// Cores.
    pub cores: Option<u64>,
    /// Memory.
    pub memory: Option<u64>,
    /// Disks.
    pub disk: Option<u64>,
}

/// A project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its name.
    pub name: ProjectId,
    /// What people say about it.
    pub description: String,
    /// What it may use.
    pub quota: Quota,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Usage {
    fn amounts(&self) -> [(&'static str, u64); 4] {
        [
            ("instances", self.instances),
            ("cores", self.cores),
            ("memory", self.memory),
            ("disk", self.disk),
        ]
    }

    fn add(&mut self, other: Self) {
        self.instances = self.instances.saturating_add(other.instances);
        self.cores = self.cores.saturating_add(other.cores);
        self.memory = self.memory.saturating_add(other.memory);
        self.disk = self.disk.saturating_add(other.disk);
    }
}

impl Quota {
    fn limits(&self) -> [Option<u64>; 4] {
        [self.instances, self.cores, self.memory, self.disk]
    }

    /// Refuses `asked` beside what is `used` without it.
    ///
    /// # Errors
    /// [`Error::Quota`] for the first amount that does not fit. What is not asked
    /// for always fits: a limit may be set below what is used.
    pub fn check(&self, used: Usage, asked: Usage) -> Result<(), Error> {
        let amounts = used.amounts().into_iter().zip(asked.amounts()).zip(self.limits());
        for (((what, used), (_, asked)), limit) in amounts {
            if let Some(limit) = limit
                && asked > 0
                && used.saturating_add(asked) > limit
            {
                return Err(Error::Quota { what, used, asked, limit });
            }
        }
        Ok(())
    }
}

fn limit(value: Option<u64>) -> Result<Value, Error> {
    value.map_or(Ok(Value::Int(None)), int)
}

fn read(row: &Row) -> Result<Project, Error> {
    let amount = |column| Ok::<_, Error>(row.opt_int(column)?.map(i64::unsigned_abs));
    let quota = Quota {
        instances: amount("instances")?,
        cores: amount("cores")?,
        memory: amount("memory")?,
        disk: amount("disk")?,
    };
    Ok(Project {
        name: row.parsed("name")?,
        description: row.text("description")?,
        quota,
        created_at: row.time("created_at")?,
    })
}

pub(crate) async fn put(tx: &mut Tx, project: &Project) -> Result<(), Error> {
    let put = "INSERT INTO projects (name, description, instances, cores, memory, disk, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (name) DO UPDATE SET description = excluded.description,
            instances = excluded.instances, cores = excluded.cores, memory = excluded.memory,
            disk = excluded.disk";
    let quota = project.quota;
    let parameters = [
        text(&project.name),
        project.description.as_str().into(),
        limit(quota.instances)?,
        limit(quota.cores)?,
        limit(quota.memory)?,
        limit(quota.disk)?,
        tx.now.into(),
    ];
    tx.db.execute(put, &parameters).await?;
    Ok(())
}

pub(crate) async fn remove(tx: &mut Tx, name: &ProjectId) -> Result<(), Error> {
    match tx.db.execute("DELETE FROM projects WHERE name = $1", &[text(name)]).await? {
        0 => Err(Error::not_found("project", name)),
        _ => Ok(()),
    }
}

pub(crate) async fn get(db: &mut Connection, name: &ProjectId) -> Result<Option<Project>, Error> {
    let row = db.fetch_one("SELECT * FROM projects WHERE name = $1", &[text(name)]).await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn list(db: &mut Connection) -> Result<Vec<Project>, Error> {
    let select = "SELECT * FROM projects ORDER BY name LIMIT 10000";
    db.fetch_all(select, &[]).await?.iter().map(read).collect()
}

/// Notes what an instance uses, with its row.
pub(crate) async fn note_size(tx: &mut Tx, row: &Instance) -> Result<(), Error> {
    let disk = match row.spec.disks.as_slice() {
        [] => {
            let select = "SELECT size FROM images WHERE id = $1";
            let image = tx
                .db
                .fetch_one(select, &[Value::Text(row.spec.image.map(|id| id.to_string()))])
                .await?;
            image.map_or(Ok(None), |image| image.opt_int("size"))?.unwrap_or(0)
        }
        disks => {
            let sum = disks.iter().fold(0u64, |sum, disk| sum.saturating_add(disk.size.as_bytes()));
            i64::try_from(sum).unwrap_or(i64::MAX)
        }
    };
    let update = "UPDATE instances SET cores = $2, memory = $3, disk = $4 WHERE id = $1";
    let (cores, memory) = (row.spec.cores, int(row.spec.memory.as_bytes())?);
    tx.db.execute(update, &[text(row.id), cores.into(), memory, disk.into()]).await?;
    Ok(())
}

/// What a project's instances use, with what is being added to them. A creation
/// that failed has left nothing.
pub(crate) async fn usage(db: &mut Connection, name: &ProjectId) -> Result<Usage, Error> {
    let sum = "SELECT COUNT(*) AS instances,
            CAST(COALESCE(SUM(cores), 0) AS BIGINT) AS cores,
            CAST(COALESCE(SUM(memory), 0) AS BIGINT) AS memory,
            CAST(COALESCE(SUM(disk), 0) AS BIGINT) AS disk
        FROM instances WHERE project = $1 AND phase <> 'failed'";
    let mut used = Usage::default();
    if let Some(row) = db.fetch_one(sum, &[text(name)]).await? {
        used = Usage {
            instances: row.uint("instances")?,
            cores: row.uint("cores")?,
            memory: row.uint("memory")?,
            disk: row.uint("disk")?,
        };
    }
    let older = "SELECT spec FROM instances
        WHERE project = $1 AND phase <> 'failed' AND cores IS NULL";
    for row in db.fetch_all(older, &[text(name)]).await? {
        let spec: InstanceSpec = row.json("spec")?;
        let disk = spec.disks.iter().map(|disk| disk.size.as_bytes()).sum();
        let (cores, memory) = (u64::from(spec.cores), spec.memory.as_bytes());
        used.add(Usage { instances: 0, cores, memory, disk });
    }
    used.add(growing(db, name).await?);
    Ok(used)
}

/// What the resizes that have not ended add to what rows say.
async fn growing(db: &mut Connection, name: &ProjectId) -> Result<Usage, Error> {
    let select = "SELECT w.input, i.disk FROM operations o
            JOIN workflows w ON w.id = o.id JOIN instances i ON i.id = o.instance
        WHERE o.project = $1 AND o.kind = 'resize'
            AND o.state IN ('queued', 'running', 'unwinding', 'stuck')";
    let mut growing = Usage::default();
    for row in db.fetch_all(select, &[text(name)]).await? {
        let mut input: Json = row.json("input")?;
        let has = row.opt_int("disk")?.map_or(0, i64::unsigned_abs);
        if let Ok(intent) = serde_json::from_value::<Intent>(input["intent"].take()) {
            growing.add(growth(&intent, has));
        }
    }
    Ok(growing)
}

/// What an intent adds to an instance whose disks have so many bytes.
pub(crate) fn growth(intent: &Intent, disk: u64) -> Usage {
    let Intent::Resize(to) = intent else { return Usage::default() };
    let memory = to.memory.as_bytes().saturating_sub(to.memory_before.as_bytes());
    Usage {
        instances: 0,
        cores: u64::from(to.cores.saturating_sub(to.cores_before)),
        memory,
        disk: to.root_disk.map_or(0, |size| size.as_bytes().saturating_sub(disk)),
    }
}

/// Refuses what a change of this instance that was committed just before it, an
/// insertion (`None`) or this intent, asks beyond its project's quota.
pub(crate) async fn check(
    tx: &mut Tx,
    id: InstanceId,
    intent: Option<&Intent>,
) -> Result<(), Error> {
    let select = "SELECT project, cores, memory, disk FROM instances WHERE id = $1";
    let Some(row) = tx.db.fetch_one(select, &[text(id)]).await? else { return Ok(()) };
    let name: ProjectId = row.parsed("project")?;
    let Some(project) = get(&mut tx.db, &name).await? else { return Ok(()) };
    if project.quota == Quota::default() {
        return Ok(());
    }
    let amount = |column| Ok::<_, Error>(row.opt_int(column)?.map_or(0, i64::unsigned_abs));
    let asked = match intent {
        Some(intent) => growth(intent, amount("disk")?),
        None => Usage {
            instances: 1,
            cores: amount("cores")?,
            memory: amount("memory")?,
            disk: amount("disk")?,
        },
    };
    let mut used = usage(&mut tx.db, &name).await?;
    used.instances -= used.instances.min(asked.instances);
    used.cores -= used.cores.min(asked.cores);
    used.memory -= used.memory.min(asked.memory);
    used.disk -= used.disk.min(asked.disk);
    project.quota.check(used, asked)
}
