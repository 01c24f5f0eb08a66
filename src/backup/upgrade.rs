//! The embedded database under another major version of PostgreSQL: dumped out of a server over the old one, read into a new one, and
//! compared before it takes the old one's place.

use std::{fs, path::Path, path::PathBuf, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    BackupError, Backups, Tools,
    error::io_at,
    plan::{Cell, differences},
    stream::blocking,
};
use crate::{
    embedded::{
        self, Options,
        guest::{self, Guest},
        physical::home_of,
        upgrade::{self, DATABASE, LOGINS},
    },
    store::{
        As, Endpoint, Store, StoreError, StoreSettings,
        door::ddl::Session,
        platform::audit::{self, Entry},
        schema::server,
    },
};

/// Tables of any size are analysed.
const ANALYSIS: Duration = Duration::from_secs(60);

/// What an upgrade comes to.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Upgraded {
    pub statements: i64,
    pub tables: usize,
    pub rows: i64,
}

/// A database of ours with a server over it.
struct Seen {
    logins: StoreSettings,
    superuser: Endpoint,
}

/// All there is of a database that two of them have in common.
#[derive(PartialEq, Eq)]
struct Contents {
    cells: Vec<Cell>,
    migrations: Vec<String>,
    brought: String,
    tables: (usize, i64),
}

impl Backups {
    /// Makes a new database of all that the old one holds, beside it. `tell` hears what is being done.
    pub async fn grow_upgraded(&self, old: &Options, tell: &(dyn Fn(&str) + Sync)) -> Result<Upgraded, BackupError> {
        let data_dir = &self.embedded.data_dir;
        let growing = upgrade::growing_of(data_dir);
        fs::create_dir_all(&growing).map_err(io_at("make", &growing))?;
        let opened = fs::set_permissions(&growing, std::os::unix::fs::PermissionsExt::from_mode(0o755));
        opened.map_err(io_at("open", &growing))?;
        tell("starting the old server");
        let cluster = upgrade::cluster_of(&home_of(data_dir));
        let guest = Guest::start(&cluster, old, LOGINS[0], None).await?;
        let options = Options { data_dir: growing, keeps_log: false, ..self.embedded.clone() };
        let done = match embedded::start(options, &self.clock, &self.ids).await {
            Ok(server) => {
                let done = self.copy(&self.over(&guest), &server, old, tell).await;
                server.stop().await?;
                done
            }
            Err(error) => Err(error.into()),
        };
        guest.stop(&cluster).await?;
        done
    }

    async fn copy(
        &self,
        from: &Seen,
        server: &embedded::Embedded,
        old: &Options,
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<Upgraded, BackupError> {
        let end = |url: &crate::model::Secret| Endpoint { url: url.clone(), ca_file: None };
        let superuser = embedded::physical::superuser_url(&upgrade::growing_of(&self.embedded.data_dir)).await?;
        let silent = || BackupError::Refused("the new server does not answer".to_owned());
        let to = Seen {
            logins: StoreSettings {
                service: end(server.service_url()),
                owner: end(server.owner_url()),
                ..self.doors.clone()
            },
            superuser: end(&superuser.ok_or_else(silent)?),
        };
        let session = Session::connect(&from.superuser).await?;
        let others = server::other_databases(&session).await?;
        if !others.is_empty() {
            let why = format!(
                "the old server also has the databases {}, which are not ours: take them elsewhere first",
                others.join(", ")
            );
            return Err(BackupError::Refused(why));
        }
        let major = server::facts(&session).await?.major;
        tell("copying");
        let dump = self.tools_for(old).find("pg_dump", major)?.of(&from.superuser)?;
        let dump = dump.args(&["--format=custom", "--compress=0"]);
        let restore = self.tools_for(old).find("pg_restore", 0)?.of(&to.logins.owner)?;
        let restore = restore.args(&["--exit-on-error", "--single-transaction", "--no-owner"]);
        blocking(move || dump.pour_into(restore)).await?;
        tell("analysing");
        Session::connect(&to.superuser).await?.run("upgrade_analyse", "ANALYZE", ANALYSIS).await?;
        tell("comparing");
        let (was, is) = (self.contents(from).await?, self.contents(&to).await?);
        let mut faults = differences(&was.cells, &[], &is.cells);
        if faults.is_empty() && was != is {
            faults.push(format!("{:?} rows of {} became {:?} of {}", was.tables, was.brought, is.tables, is.brought));
        }
        if !faults.is_empty() {
            return Err(BackupError::Refused(format!("the copy is not what it was made of: {}", faults.join("; "))));
        }
        let statements = is.cells.iter().map(|cell| cell.rows).sum();
        Ok(Upgraded { statements, tables: is.tables.0, rows: is.tables.1 })
    }

    /// What came to the database in its place since the one in `before` was moved aside, in words; nothing where they are equal.
    pub async fn since_upgrade(&self, before: &Path, old: &Options) -> Result<Option<String>, BackupError> {
        let now = self.looked_at(&home_of(&self.embedded.data_dir), &self.embedded).await?;
        let then = self.looked_at(before, old).await?;
        let statements = |cells: &[Cell]| cells.iter().map(|cell| cell.rows).sum::<i64>();
        let is_same = then.0 == now.0 && then.1 == now.1;
        let said = |(cells, brought): &(Vec<Cell>, String)| format!("{} statements, {brought}", statements(cells));
        Ok((!is_same).then(|| format!("{}, and before the upgrade {}", said(&now), said(&then))))
    }

    /// Leaves an entry in the trail of a database that is about to take its place: whoever is killed between the two begins again, and
    /// nobody finds a database that does not say how it came there.
    pub async fn note_upgrade(
        &self,
        (home, programs): (&Path, &Options),
        by: &str,
        action: &'static str,
        detail: &Value,
    ) -> Result<(), BackupError> {
        let cluster = upgrade::cluster_of(home);
        let guest = Guest::start(&cluster, programs, LOGINS[0], None).await?;
        let noted = async {
            let store = Store::open(&self.over(&guest).logins)?;
            let noted = store.run_once("note_upgrade", As::Worker, |tx| {
                Box::pin(async move {
                    let (subject, detail) = (DATABASE.to_owned(), detail.clone());
                    audit::append(tx, &Entry { tenant: None, actor: by, action, subject, detail }).await.map(drop)
                })
            });
            let noted: Result<(), StoreError> = noted.await;
            store.close();
            Ok(noted?)
        };
        let noted = noted.await;
        guest.stop(&cluster).await?;
        noted
    }

    async fn looked_at(&self, home: &Path, options: &Options) -> Result<(Vec<Cell>, String), BackupError> {
        let cluster = upgrade::cluster_of(home);
        let guest = Guest::start(&cluster, options, LOGINS[0], None).await?;
        let seen = self.over(&guest);
        let found = async {
            let brought = server::brought(&Session::connect(&seen.superuser).await?).await?;
            Ok((self.figures(&seen.logins, DateTime::<Utc>::MAX_UTC).await?, brought))
        };
        let found = found.await;
        guest.stop(&cluster).await?;
        found
    }

    fn over(&self, guest: &Guest) -> Seen {
        let end = |login: &str| Endpoint { url: guest.url(login, DATABASE), ca_file: None };
        let [superuser, owner, service] = LOGINS;
        let logins = StoreSettings { service: end(service), owner: end(owner), ..self.doors.clone() };
        Seen { logins, superuser: end(superuser) }
    }

    async fn contents(&self, seen: &Seen) -> Result<Contents, BackupError> {
        let session = Session::connect(&seen.superuser).await?;
        Ok(Contents {
            cells: self.figures(&seen.logins, DateTime::<Utc>::MAX_UTC).await?,
            migrations: server::applied(&session, &self.schemas).await?,
            brought: server::brought(&session).await?,
            tables: server::read_all(&session, &self.schemas).await?,
        })
    }

    /// The old server's own programs, where they have what is needed.
    fn tools_for(&self, old: &Options) -> Tools {
        let own = old.programs.clone().filter(|folder: &PathBuf| folder.join("pg_dump").is_file());
        if own.is_some() { Tools(own) } else { self.tools.clone() }
    }
}

/// Ends servers of an upgrade whose process was killed before it could.
pub async fn settle(data_dir: &Path) -> Result<(), BackupError> {
    for home in [home_of(data_dir), upgrade::grown_of(data_dir)] {
        guest::settle(&upgrade::cluster_of(&home)).await?;
    }
    Ok(())
}
