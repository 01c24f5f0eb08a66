//! Making a backup: first the figures it will be compared with, then the stream, and the manifest last.

use std::time::Duration;

use super::{
    BackupError, Backups, Key,
    error::io_at,
    place,
    plan::{Cell, FORMAT, Kind, Manifest, Segment, Server, Volume},
    stream::{self, Sink, blocking},
    volumes::{self, Outlet},
};
use crate::{
    embedded::physical::Physical,
    store::{
        As, Endpoint, Store, StoreError, StoreSettings,
        door::ddl::Session,
        ledger::{
            figures,
            segments::{self, State},
            statements,
        },
        platform::installation,
        schema::server,
    },
};

/// How long reading the whole ledger may take.
const LONG: Duration = Duration::from_secs(6 * 3600);
/// A volume is closed at so many bytes: S3 takes 80 GiB in the pieces that go out.
const VOLUME: u64 = 16 << 30;

/// A database at work.
pub struct Live<'a> {
    pub store: &'a Store,
    pub logins: &'a StoreSettings,
    /// As whom it is copied.
    pub copier: Endpoint,
}

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Order {
    pub kind: Kind,
    /// Only this schema, of a dump.
    pub schema: Option<String>,
    pub reason: String,
}

impl Backups {
    /// Makes a backup. Broken off it leaves nothing that is taken for one.
    pub async fn make(&self, live: &Live<'_>, order: &Order) -> Result<Manifest, BackupError> {
        let (began_at, random) = (self.clock.now(), self.ids.bytes::<4>());
        let id = place::name(began_at, random);
        let (server, migrations) = self.server(live).await?;
        let store = live.store.patient(LONG);
        let start = store.run_tx("backup_begins", As::Worker, |tx| {
            Box::pin(async move {
                let bound = statements::safe_bound(tx).await?;
                let own = installation::this(tx).await?;
                let segments = segments::list(tx, None).await?;
                Ok::<_, StoreError>((bound, own, segments, figures::figures(tx, bound).await?))
            })
        });
        let (bound, own, segments, before) = start.await?;
        let (volumes, first_log) = self.stream(live, order, (&id, server.major)).await?;
        let again = store.run_tx("backup_ends", As::Worker, |tx| Box::pin(figures::figures(tx, bound)));
        let after = cells(again.await?);
        let before = cells(before);
        let published = segments.iter().filter(|one| one.state == State::Published).filter_map(|one| {
            let contents = one.contents.as_ref()?;
            Some(Segment {
                tenant: one.name.tenant.0,
                month: one.name.month.to_string(),
                revision: one.name.revision,
                rows: contents.rows,
                digest: contents.digest.clone(),
            })
        });
        let manifest = Manifest {
            format: FORMAT,
            id,
            kind: order.kind,
            reason: order.reason.clone(),
            release: env!("CARGO_PKG_VERSION").to_owned(),
            began_at,
            ended_at: self.clock.now(),
            server,
            installation: own.id,
            epoch: own.epoch,
            schema: order.schema.clone(),
            migrations,
            key: self.place.key.as_ref().map(Key::name),
            volumes,
            bound,
            after: if after == before { Vec::new() } else { after },
            before,
            segments: published.collect(),
            first_log,
        };
        self.place.finish(&manifest).await?;
        Ok(manifest)
    }

    async fn server(&self, live: &Live<'_>) -> Result<(Server, Vec<String>), BackupError> {
        let owner = Session::connect(&live.logins.owner).await?;
        let facts = server::facts(&owner).await?;
        let service = server::facts(&Session::connect(&live.logins.service).await?).await?.login;
        let migrations = server::applied(&owner, &self.schemas).await?;
        let server::Facts { system, major, database, login, superuser } = facts;
        Ok((Server { system, major, database, owner: login, service, superuser }, migrations))
    }

    /// Stores the stream; what it stored of one that fails is taken back.
    async fn stream(
        &self,
        live: &Live<'_>,
        order: &Order,
        (id, major): (&str, u32),
    ) -> Result<(Vec<Volume>, Option<String>), BackupError> {
        let (outlet, from) = volumes::channel();
        let (objects, counter) = (&self.place.objects, self.place.counter());
        let (produced, stored) =
            tokio::join!(self.produce(live, order, outlet, major), volumes::store(objects, id, VOLUME, from, counter));
        // Where producing failed because storing did, the latter says why.
        match (stored, produced) {
            (Ok(volumes), Ok(first_log)) => Ok((volumes, first_log)),
            (Err(error), _) | (Ok(_), Err(error)) => {
                if let Err(left) = self.place.remove(id).await {
                    tracing::warn!(id, error = %left, "what was stored of a failed backup stays behind");
                }
                Err(error)
            }
        }
    }

    async fn produce(
        &self,
        live: &Live<'_>,
        order: &Order,
        outlet: Outlet,
        major: u32,
    ) -> Result<Option<String>, BackupError> {
        let sink = Sink::new(outlet, self.place.key.as_ref(), &self.ids.bytes::<32>());
        let sink = sink.map_err(io_at("seal", &self.scratch))?;
        match order.kind {
            Kind::Embedded => self.copy_folder(sink).await.map(Some),
            Kind::Cluster => {
                let label = format!("progress-service {}", order.reason);
                let tool = self.tools.find("pg_basebackup", major)?.of(&live.copier)?.args(&[
                    "--pgdata=-",
                    "--format=tar",
                    "--wal-method=fetch",
                    "--checkpoint=fast",
                    "--label",
                    &label,
                ]);
                // The log since its beginning must be there at its end.
                let holding = Session::connect(&live.copier).await?;
                server::hold_log(&holding, &format!("progress_backup_{}", self.ids.uuid().simple())).await?;
                blocking(move || run(tool, sink)).await?;
                drop(holding);
                Ok(None)
            }
            Kind::Dump => {
                let tool =
                    self.tools.find("pg_dump", major)?.of(&live.copier)?.args(&["--format=custom", "--compress=0"]);
                let tool = match &order.schema {
                    Some(schema) => tool.args(&["--schema", schema]),
                    None => tool,
                };
                blocking(move || run(tool, sink)).await.map(|()| None)
            }
        }
    }

    async fn copy_folder(&self, sink: Sink) -> Result<String, BackupError> {
        let folder = &self.embedded.data_dir;
        let begun = Physical::begin(folder, &self.ids).await?;
        let silent = || BackupError::Refused(format!("no embedded server answers on {}", folder.display()));
        let physical = begun.ok_or_else(silent)?;
        let (home, items, first) = (physical.folder().to_owned(), physical.items()?, physical.first_log().to_owned());
        let from = home.clone();
        let tar = blocking(move || {
            let mut tar = tar::Builder::new(sink);
            for item in items {
                let added = match item.is_folder {
                    true => stream::add_folder(&mut tar, &item.path),
                    false => stream::add_file(&mut tar, &from, &item.path),
                };
                added.map_err(io_at("copy", from.join(&item.path)))?;
            }
            Ok(tar)
        });
        let mut tar = tar.await?;
        let label = physical.end().await?;
        blocking(move || {
            stream::add_text(&mut tar, "cluster/backup_label", &label.text).map_err(io_at("copy", &home))?;
            for path in &label.log {
                stream::add_file(&mut tar, &home, path).map_err(io_at("copy", home.join(path)))?;
            }
            tar.into_inner().and_then(Sink::finish).map_err(io_at("copy", &home))
        })
        .await?;
        Ok(first)
    }
}

fn run(tool: super::tools::Tool, mut sink: Sink) -> Result<(), BackupError> {
    tool.copy_into(&mut sink)?;
    sink.finish().map_err(io_at("store", "the stream of a backup"))
}

pub(super) fn cells(figures: Vec<figures::Figure>) -> Vec<Cell> {
    let cell = |figures::Figure { tenant, month, rows, digest }| Cell { tenant, month, rows, digest };
    figures.into_iter().map(cell).collect()
}
