//! The audit trail as a log that a stranger can check: each entry gets a place and a keyed commitment there, checkpoints over it are
//! signed and anchored outside of this database, and any entry has a proof and a receipt.
//!
//! Entries are written by whoever acts, in the transaction of the act (`store::platform::audit`). Nothing here changes one.

mod anchor;
pub mod commitment;
mod error;
pub mod keys;
pub mod merkle;
pub mod note;
mod place;
mod proof;
mod receipt;
pub mod tiles;
mod trail;
mod verify;

use std::sync::Arc;

use ::base64::{Engine, engine::general_purpose::STANDARD};
use chrono::TimeDelta;
use tokio::sync::OnceCell;
use uuid::Uuid;

use self::note::{Signer, Tree, Verifier};
pub use self::{
    error::AuditError,
    proof::Proof,
    receipt::{Anchored, Flaw, Receipt},
    verify::{Finding, Known, Look, Report, Rule},
};
use crate::{
    bus::{producer::Producer, reader::TopicReader},
    model::{Clock, Lease},
    objects::Objects,
    store::{
        As, Store, StoreError,
        door::tx::Tx,
        platform::{
            audit_log::{
                self as log,
                checkpoints::{self, Checkpoint},
            },
            installation, leases,
        },
    },
    telemetry::Metrics,
};

/// Bytes as documents have them.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// How often a checkpoint is signed, when something was added.
const EVERY: TimeDelta = TimeDelta::minutes(1);

/// The brokers, as the log needs them: to anchor there, and to read what was anchored.
#[derive(Clone)]
pub struct Brokers {
    pub producer: Arc<Producer>,
    pub reader: TopicReader,
}

/// The log of this installation. Clones are one.
#[derive(Clone)]
pub struct Audit {
    store: Store,
    objects: Objects,
    brokers: Option<Brokers>,
    /// Whose signatures a receipt may bring beside the log's own.
    witnesses: Arc<[Verifier]>,
    clock: Clock,
    metrics: Metrics,
    identity: Arc<OnceCell<Arc<Identity>>>,
}

/// Who signs.
struct Identity {
    installation: Uuid,
    signer: Signer,
}

impl Identity {
    fn origin(&self) -> String {
        note::origin(self.installation)
    }
}

impl Audit {
    pub fn new(store: &Store, objects: &Objects, brokers: Option<Brokers>, clock: &Clock, metrics: &Metrics) -> Self {
        let (store, objects, clock, metrics) = (store.clone(), objects.clone(), clock.clone(), metrics.clone());
        Self { store, objects, brokers, witnesses: Arc::default(), clock, metrics, identity: Arc::default() }
    }

    /// With the keys of witnesses whose signatures count.
    #[must_use]
    pub fn witnessed_by(self, witnesses: &[Verifier]) -> Self {
        Self { witnesses: witnesses.into(), ..self }
    }

    /// The same log for a step under this lease: it writes nothing more once another node has it.
    #[must_use]
    pub fn under(&self, lease: &Lease) -> Self {
        Self { store: self.store.under(lease), ..self.clone() }
    }

    /// Gives places to entries that wait, signs when a minute is over, and anchors what was signed; answers whether there may be
    /// more to do.
    pub async fn step(&self) -> Result<bool, AuditError> {
        let more = self.place().await?;
        if !more {
            self.sign(EVERY).await?;
            self.anchor().await?;
        }
        Ok(more)
    }

    /// Gives a place to every entry that waits, and signs for all of them now.
    pub async fn settle(&self) -> Result<(), AuditError> {
        while self.place().await? {}
        self.sign(TimeDelta::zero()).await
    }

    /// The key that proves this log's checkpoints.
    pub async fn verifier(&self) -> Result<Verifier, AuditError> {
        let identity = self.identity().await?;
        Ok(identity.signer.verifier(&identity.origin()))
    }

    /// The newest checkpoint.
    pub async fn checkpoint(&self) -> Result<Option<Checkpoint>, AuditError> {
        Ok(self.store.run_tx("audit_checkpoint", As::Worker, |tx| Box::pin(checkpoints::last(tx))).await?)
    }

    /// Signs what was added since the last checkpoint, where that one is so old.
    async fn sign(&self, every: TimeDelta) -> Result<(), AuditError> {
        let identity = &*self.identity().await?;
        let now = self.clock.now();
        let last = self.checkpoint().await?;
        if last.as_ref().is_some_and(|last| now - last.signed_at < every) {
            return Ok(());
        }
        self.store
            .run_tx("audit_sign", As::Worker, |tx| {
                Box::pin(async move {
                    leases::check(tx).await?;
                    log::alone(tx).await?;
                    let size = log::size(tx).await?;
                    if size == 0 || checkpoints::last(tx).await?.is_some_and(|last| last.size >= size) {
                        return Ok(());
                    }
                    let root = proof::edge(tx, size).await?.root();
                    let epoch = installation::this(tx).await?.epoch;
                    let note = identity.signer.sign(&identity.origin(), &Tree { size, root, epoch, at: now });
                    checkpoints::append(tx, &Checkpoint { size, root, epoch, signed_at: now, note }).await?;
                    Ok::<_, AuditError>(())
                })
            })
            .await
    }

    async fn identity(&self) -> Result<Arc<Identity>, AuditError> {
        let made = self.identity.get_or_try_init(|| async {
            let seed = self.store.signing_key("audit-log").await?;
            let this = self.store.run_tx("installation", As::Worker, |tx| Box::pin(installation::this(tx))).await?;
            Ok::<_, AuditError>(Arc::new(Identity { installation: this.id, signer: Signer::new(&seed)? }))
        });
        made.await.cloned()
    }

    /// Reads something of the log.
    async fn read<T: Send>(
        &self,
        name: &'static str,
        work: impl for<'t> Fn(&'t Tx<'_>) -> futures_util::future::BoxFuture<'t, Result<T, StoreError>>,
    ) -> Result<T, AuditError> {
        Ok(self.store.run_tx(name, As::Worker, work).await?)
    }
}
