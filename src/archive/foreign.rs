//! A month of which only segments are left, behind a foreign table over them, for people's SQL; and back. What is looked at first
//! costs nobody anything; the change itself is one transaction, in which the database looks through the foreign table.

use serde_json::json;

use super::{Archive, ArchiveError, place};
use crate::{
    config,
    model::partition::{Month, Partition, State},
    objects::segment::Manifest,
    store::{
        As, StoreError, Tx,
        door::error::AsStoreError,
        ledger::{
            foreign::{self, Remote},
            partitions,
            segments::{Contents, Segment},
        },
        platform::audit::{self, Entry},
    },
};

/// What PostgreSQL says when the gateway does not answer, or lets nobody in.
const NO_CONNECTION: &str = "08001";

#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    #[error("{0} is not set: it tells how the PostgreSQL server reaches the gateway (docs/gateway.md)")]
    NotSet(&'static str),
    #[error("this database has no foreign tables yet: a superuser types in it, once: {0}")]
    Lacks(String),
    #[error("of {0} no segment is published: there is nothing that a foreign table could show")]
    Empty(Month),
    #[error(
        "the PostgreSQL server does not come through to the gateway at {address}: is it running, can it be reached from there, and \
         are gateway.user and gateway.password those of a login of this installation? ({message})"
    )]
    Unreachable { address: String, message: String },
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl From<StoreError> for ForeignError {
    fn from(error: StoreError) -> Self {
        Self::Archive(error.into())
    }
}

impl AsStoreError for ForeignError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Archive(error) => error.as_store_error(),
            _ => None,
        }
    }
}

/// How the PostgreSQL server reaches the gateway, out of the configuration.
pub fn remote(gateway: &config::Gateway) -> Result<Remote, ForeignError> {
    let address = gateway.address.as_deref().and_then(|address| address.rsplit_once(':'));
    let (host, port) = address.ok_or(ForeignError::NotSet("gateway.address"))?;
    Ok(Remote {
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        port: port.parse().map_err(|_| ForeignError::NotSet("gateway.address"))?,
        user: gateway.user.clone(),
        password: gateway.password.clone().ok_or(ForeignError::NotSet("gateway.password"))?,
        sslmode: gateway.sslmode.clone(),
    })
}

/// Looks whether a month could be attached now: its state, the extension, and each manifest against its row. Answers its segments.
pub async fn look(archive: &Archive, month: Month) -> Result<(State, Vec<Segment>), ForeignError> {
    let partition = archive.partition(month).await?;
    let segments = archive.published(Some(month)).await?;
    if partition.state == State::Attached {
        return Ok((partition.state, segments));
    }
    must_be(&partition, State::Dropped, "only one of which nothing but segments is left is attached")?;
    if segments.is_empty() {
        return Err(ForeignError::Empty(month));
    }
    let lacks = archive.store.run_tx("lacks_foreign", As::Worker, |tx| Box::pin(foreign::lacks(tx))).await?;
    if let Some(lacks) = lacks {
        return Err(ForeignError::Lacks(lacks));
    }
    for segment in &segments {
        let manifest = Manifest::load(&archive.objects, &place(&segment.name), segment.installation).await;
        let manifest = manifest.map_err(ArchiveError::from)?;
        if !segment.contents.as_ref().is_some_and(|known| are_those(known, &manifest)) {
            let rule = "its rows and its content digest are others".to_owned();
            return Err(ArchiveError::OtherManifest { tenant: segment.name.tenant, month, rule }.into());
        }
    }
    Ok((partition.state, segments))
}

fn are_those(known: &Contents, manifest: &Manifest) -> bool {
    known.digest == manifest.summary.digest && u64::try_from(known.rows) == Ok(manifest.summary.rows)
}

/// Attaches a month that was looked at; answers whether it was to be done still.
pub async fn attach(archive: &Archive, month: Month, remote: &Remote, by: &str) -> Result<bool, ForeignError> {
    let work = archive.store.run_once("attach_foreign", As::Worker, |tx| Box::pin(attach_in(tx, month, remote, by)));
    work.await.map_err(|error| match error {
        ForeignError::Archive(ArchiveError::Store(StoreError::Database { code, message, .. }))
            if code == NO_CONNECTION =>
        {
            ForeignError::Unreachable { address: format!("{}:{}", remote.host, remote.port), message }
        }
        error => error,
    })
}

async fn attach_in(tx: &Tx<'_>, month: Month, remote: &Remote, by: &str) -> Result<bool, ForeignError> {
    let before = partition(tx, month).await?;
    if before.state == State::Attached {
        return Ok(false);
    }
    must_be(&before, State::Dropped, "only one of which nothing but segments is left is attached")?;
    let after = foreign::attach(tx, month, remote).await?.ok_or(ArchiveError::Unknown(month))?;
    must_be(&Partition { state: after, ..before }, State::Attached, "it was to be attached")?;
    note(tx, month, "archive.attach", by, [before.state, after]).await
}

/// Looks whether a month could be detached, or is.
pub async fn look_attached(archive: &Archive, month: Month) -> Result<State, ForeignError> {
    let partition = archive.partition(month).await?;
    if partition.state != State::Dropped {
        must_be(&partition, State::Attached, "only one that is attached to the gateway is detached from it")?;
    }
    Ok(partition.state)
}

/// Takes the foreign table of a month away; answers whether it was to be done still.
pub async fn detach(archive: &Archive, month: Month, by: &str) -> Result<bool, ForeignError> {
    archive.store.run_once("detach_foreign", As::Worker, |tx| Box::pin(detach_in(tx, month, by))).await
}

async fn detach_in(tx: &Tx<'_>, month: Month, by: &str) -> Result<bool, ForeignError> {
    let before = partition(tx, month).await?;
    if before.state == State::Dropped {
        return Ok(false);
    }
    must_be(&before, State::Attached, "only one that is attached to the gateway is detached from it")?;
    let after = foreign::detach(tx, month).await?.ok_or(ArchiveError::Unknown(month))?;
    note(tx, month, "archive.detach", by, [before.state, after]).await
}

async fn partition(tx: &Tx<'_>, month: Month) -> Result<Partition, ForeignError> {
    let all = partitions::list(tx).await?;
    let found = all.into_iter().find(|partition| partition.bounds.lower == month.begin());
    Ok(found.ok_or(ArchiveError::Unknown(month))?)
}

fn must_be(partition: &Partition, state: State, wanted: &'static str) -> Result<(), ForeignError> {
    if partition.state == state {
        return Ok(());
    }
    Err(ArchiveError::Wrong { partition: partition.bounds, state: partition.state, wanted }.into())
}

async fn note(
    tx: &Tx<'_>,
    month: Month,
    action: &'static str,
    by: &str,
    states: [State; 2],
) -> Result<bool, ForeignError> {
    let detail = json!({ "was": states[0].name(), "is": states[1].name() });
    audit::append(tx, &Entry { tenant: None, actor: by, action, subject: month.to_string(), detail }).await?;
    Ok(true)
}
