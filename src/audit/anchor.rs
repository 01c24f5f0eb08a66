//! Checkpoints leave this database: into the archive's store, where nothing is written over, and into a topic. From then on nobody who
//! rules the database can change, remove or reorder what they cover without being found out.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Audit, AuditError};
use crate::{
    model::{Event, TenantId},
    objects::ObjectsError,
    store::{
        As,
        platform::{
            audit_log::checkpoints::{self, Anchor, Checkpoint},
            installation, leases,
        },
    },
};

/// The topic of checkpoints.
pub const TOPIC: &str = "progress.audit.checkpoint.v1";
/// Where they lie in the archive's store.
const FOLDER: &str = "_audit";
/// Checkpoints that are anchored in one go.
const BATCH: i64 = 100;
/// Objects that are read at the same time.
const AT_ONCE: usize = 16;

pub(super) const OBJECTS: &str = "objects";
pub(super) const KAFKA: &str = "kafka";

/// A checkpoint as it was found outside.
#[derive(Clone, Debug)]
pub(super) struct Outside {
    /// Where, for people.
    pub place: String,
    pub note: String,
}

impl Audit {
    /// Brings out what is not outside yet. A place that does not answer keeps no other waiting; what failed is tried again.
    pub async fn anchor(&self) -> Result<(), AuditError> {
        let places = [Some(OBJECTS), self.brokers.as_ref().map(|_| KAFKA)];
        let mut failed = None;
        for place in places.into_iter().flatten() {
            if let Err(error) = self.anchor_at(place).await {
                self.metrics.audit.anchor_failures.with_label_values(&[place]).inc();
                failed = failed.or(Some(error));
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn anchor_at(&self, place: &'static str) -> Result<(), AuditError> {
        loop {
            let due = self.read("audit_unanchored", |tx| Box::pin(checkpoints::unanchored(tx, place, BATCH))).await?;
            if due.is_empty() {
                return Ok(());
            }
            let this = self.read("installation", |tx| Box::pin(installation::this(tx))).await?;
            if !this.is_here {
                // A copy speaks for nobody: what it anchored would look like a fork of the original.
                tracing::debug!(installation = %this.id, "a copy of another database anchors nothing");
                return Ok(());
            }
            for checkpoint in &due {
                self.store.check_lease().await?;
                let detail = match place {
                    OBJECTS => self.put(this.id, checkpoint).await?,
                    _ => self.send(this.id, checkpoint).await?,
                };
                let (size, at) = (checkpoint.size, self.clock.now());
                let anchor = &Anchor { size, place: place.to_owned(), at, detail };
                self.store
                    .run_tx("audit_anchored", As::Worker, |tx| {
                        Box::pin(async move {
                            leases::check(tx).await?;
                            checkpoints::append_anchor(tx, anchor).await
                        })
                    })
                    .await?;
                self.metrics.audit.anchored.with_label_values(&[place]).set(size);
            }
        }
    }

    /// Into the archive's store. What is there already is this checkpoint, brought there by a step that nobody heard the end of.
    async fn put(&self, installation: Uuid, checkpoint: &Checkpoint) -> Result<Value, AuditError> {
        let key = format!("{FOLDER}/{installation}/{:020}-{}", checkpoint.size, checkpoint.epoch);
        match self.objects.put_new(&key, Bytes::from(checkpoint.note.clone())).await {
            Err(ObjectsError::Exists(_)) if self.objects.get(&key).await? != checkpoint.note.as_bytes() => {
                return Err(AuditError::Forked(key));
            }
            Ok(()) | Err(ObjectsError::Exists(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(json!({ "key": key }))
    }

    async fn send(&self, installation: Uuid, checkpoint: &Checkpoint) -> Result<Value, AuditError> {
        let Some(brokers) = &self.brokers else { return Ok(Value::Null) };
        let id = format!("{installation}/{}/{}", checkpoint.epoch, checkpoint.size);
        let data = json!({
            "installation": installation,
            "epoch": checkpoint.epoch,
            "treeSize": checkpoint.size,
            "checkpoint": checkpoint.note,
        });
        let event = Event {
            kind: TOPIC.into(),
            id: id.clone(),
            tenant: TenantId::DEFAULT,
            subject: installation.to_string(),
            time: checkpoint.signed_at,
            key: installation.to_string(),
            correlation: installation.to_string(),
            causation: id.clone(),
            traceparent: None,
            data: data.to_string(),
        };
        brokers.producer.ready(&[TOPIC]).await?;
        brokers.producer.send_all(&[event]).await?;
        Ok(json!({ "topic": brokers.producer.topic(TOPIC), "id": id }))
    }

    /// Every checkpoint over more than `after` leaves that lies in the archive's store.
    pub(super) async fn in_store(&self, installation: Uuid, after: i64) -> Result<Vec<Outside>, AuditError> {
        let listed = self.objects.list(&format!("{FOLDER}/{installation}")).await?;
        let keys = listed.into_iter().filter_map(|(key, _)| {
            let size: i64 = key.rsplit('/').next()?.split_once('-')?.0.parse().ok()?;
            (size > after).then_some(key)
        });
        let reads = stream::iter(keys.collect::<Vec<_>>()).map(|key| async move {
            let note = self.objects.get(&key).await?;
            let note = String::from_utf8_lossy(&note).into_owned();
            Ok::<_, AuditError>(Outside { place: key, note })
        });
        reads.buffered(AT_ONCE).try_collect().await
    }

    /// The same of the topic, as long as the brokers keep it.
    pub(super) async fn in_topic(&self, installation: Uuid, after: i64) -> Result<Vec<Outside>, AuditError> {
        let Some(brokers) = &self.brokers else { return Ok(Vec::new()) };
        let (topic, reader) = (Arc::new(brokers.producer.topic(TOPIC)), brokers.reader.clone());
        let messages = reader.all(&topic).await?;
        let own = |message: &Vec<u8>| {
            let event: Value = serde_json::from_slice(message).ok()?;
            let data = event.get("data")?;
            let is_own = data.get("installation")?.as_str()? == installation.to_string();
            (is_own && data.get("treeSize")?.as_i64()? > after).then_some(())?;
            Some(Outside {
                place: format!("{topic} {}", event.get("id")?.as_str()?),
                note: data.get("checkpoint")?.as_str()?.to_owned(),
            })
        };
        Ok(messages.iter().filter_map(own).collect())
    }
}
