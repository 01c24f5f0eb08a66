//! Commands of other services: each is taken once, recorded as a request, and acknowledged through the outbox.
//!
//! The offset of a message moves only after the transaction that took it, so a crash repeats messages and loses none;
//! the memory of events in the database makes the repetition harmless. What cannot be understood goes to the dead
//! letters, and the next message is read. Nothing is erased or moved here: that is the work of the requests' own rooms.

mod command;

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use command::{Command, CommandKind, read};

use crate::{
    bus::{
        connection::BusError,
        consumer::{Consumer, Received},
    },
    config::Kafka,
    model::{Clock, Event, TenantId, event::DEAD_LETTER},
    store::{
        Store, StoreError,
        progress::inbox::{Answer, Arrived, Taken},
    },
    telemetry::Metrics,
};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// Takes commands on one node; the brokers share the partitions out among the nodes.
pub struct Inbox {
    store: Store,
    kafka: Kafka,
    metrics: Metrics,
    clock: Clock,
}

impl Inbox {
    pub fn new(store: Store, kafka: Kafka, metrics: Metrics, clock: Clock) -> Self {
        Self { store, kafka, metrics, clock }
    }

    /// Takes commands until told to stop. Trouble with brokers or database is waited out.
    pub async fn run(self, stop: CancellationToken) {
        let Some(consumer) = self.join(&stop).await else { return };
        let mut failures = 0;
        loop {
            let next = tokio::select! {
                next = consumer.next() => next,
                () = stop.cancelled() => break,
            };
            match next {
                Ok(message) => {
                    failures = 0;
                    if !self.settle(&consumer, &message, &stop).await {
                        break;
                    }
                }
                Err(error) => self.stumbled(&error.into(), &mut failures, &stop).await,
            }
        }
        consumer.leave().await;
    }

    async fn join(&self, stop: &CancellationToken) -> Option<Consumer> {
        let kinds = CommandKind::ALL.map(CommandKind::topic);
        let answers = CommandKind::ALL.map(CommandKind::acknowledgement);
        let mut failures = 0;
        while !stop.is_cancelled() {
            let joined = tokio::select! {
                joined = Consumer::join(&self.kafka, &kinds, &answers) => joined,
                () = stop.cancelled() => return None,
            };
            match joined {
                Ok(consumer) => return Some(consumer),
                Err(error) => self.stumbled(&error.into(), &mut failures, stop).await,
            }
        }
        None
    }

    /// Tries one message until it is settled; answers false when told to stop before.
    async fn settle(&self, consumer: &Consumer, message: &Received, stop: &CancellationToken) -> bool {
        let mut failures = 0;
        while !stop.is_cancelled() {
            match self.handle(consumer, message).await {
                Ok(()) => {
                    if let Err(error) = consumer.settled(message).await {
                        // It comes again, here or on the node that has the partition now, and is known by then.
                        tracing::debug!(%error, "an offset was not committed");
                    }
                    return true;
                }
                Err(error) => self.stumbled(&error, &mut failures, stop).await,
            }
        }
        false
    }

    async fn handle(&self, consumer: &Consumer, message: &Received) -> Result<(), InboxError> {
        let now = self.clock.now();
        let outcome = match self.take(message, now).await? {
            Ok(Taken::Recorded) => "recorded",
            Ok(_) => "repeated",
            Err((tenant, reason)) => {
                tracing::warn!(topic = message.topic, offset = message.offset, reason, "a command was refused");
                consumer.refuse(message, &reason, &letter(message, tenant, &reason, now)).await?;
                "refused"
            }
        };
        let counts = &self.metrics.inbox;
        counts.messages.with_label_values(&[message.kind, outcome]).inc();
        if let Some(sent) = message.sent_millis.and_then(DateTime::from_timestamp_millis) {
            counts.delay_seconds.observe((now - sent).num_milliseconds().max(0) as f64 / 1_000.0);
        }
        Ok(())
    }

    /// Takes the message's command, or says why it cannot be taken and whose it would be.
    async fn take(&self, message: &Received, now: DateTime<Utc>) -> Result<Result<Taken, Refusal>, InboxError> {
        let nobody = TenantId(Uuid::nil());
        let Some(kind) = CommandKind::ALL.into_iter().find(|kind| kind.topic() == message.kind) else {
            return Ok(Err((nobody, "nobody here reads this topic".to_owned())));
        };
        let command = match read(kind, &message.payload) {
            Ok(command) => command,
            Err(reason) => return Ok(Err((nobody, reason))),
        };
        let tenant = command.tenant;
        match self.store.take_command(&arrived(command, now)).await {
            Ok(Taken::NoSuchTenant) => Ok(Err((tenant, "there is no such tenant".to_owned()))),
            Ok(Taken::Contradicts) => {
                Ok(Err((tenant, "a request of this name is recorded and says something else".to_owned())))
            }
            Ok(taken) => Ok(Ok(taken)),
            // The message itself is what the database cannot hold: it will not get better.
            Err(error) if error.code().is_some_and(|code| code.starts_with("22")) => {
                Ok(Err((tenant, "it cannot be stored".to_owned())))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn stumbled(&self, error: &InboxError, failures: &mut u32, stop: &CancellationToken) {
        self.metrics.inbox.errors.inc();
        tracing::warn!(%error, "commands cannot be taken now");
        let pause = FIRST_PAUSE.saturating_mul(2u32.saturating_pow(*failures)).min(LONGEST_PAUSE);
        *failures = failures.saturating_add(1);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Whose the message would be, and why it cannot be taken.
type Refusal = (TenantId, String);

fn arrived(command: Command, now: DateTime<Utc>) -> Arrived {
    let Command { kind, tenant, source, event_id, request_id, correlation, data } = command;
    let name = match kind {
        CommandKind::Erasure => "requestId",
        CommandKind::Residency => "changeId",
    };
    let answer = json!({
        name: request_id,
        "commandId": event_id,
        "service": "progress-service",
        "status": "recorded",
        "acknowledgedAt": now.to_rfc3339_opts(SecondsFormat::Micros, true),
    });
    let answer = Answer {
        id: derived(&[kind.acknowledgement(), &tenant.to_string(), &source, &event_id]),
        kind: kind.acknowledgement(),
        correlation,
        causation: event_id.parse().unwrap_or_else(|_| derived(&[kind.topic(), &source, &event_id])),
        time: now,
        data: answer.to_string(),
    };
    // A move that is over is not begun again.
    let again = kind == CommandKind::Erasure;
    Arrived { tenant, source, event_id, kind: kind.topic(), request_kind: kind.name(), request_id, data, answer, again }
}

/// What goes to the dead letters: where the message is and what is wrong with it, but nothing of what it says.
fn letter(message: &Received, tenant: TenantId, reason: &str, now: DateTime<Utc>) -> Event {
    let Received { topic, partition, offset, .. } = message;
    let place = format!("{topic}/{partition}/{offset}");
    let data = json!({ "topic": topic, "partition": partition, "offset": offset, "reason": reason,
        "type": message.kind, "bytes": message.payload.len() });
    Event {
        kind: DEAD_LETTER.into(),
        id: place.clone(),
        tenant,
        subject: place.clone(),
        time: now,
        key: place.clone(),
        correlation: place.clone(),
        causation: derived(&[&place]).to_string(),
        traceparent: None,
        data: data.to_string(),
    }
}

/// An id made of what it stands for: the same parts give the same id.
fn derived(parts: &[&str]) -> Uuid {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.len().to_be_bytes());
        hasher.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hasher.finalize()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;

    fn command(event_id: &str) -> Command {
        Command {
            kind: CommandKind::Residency,
            tenant: TenantId::DEFAULT,
            source: "/tenants".to_owned(),
            event_id: event_id.to_owned(),
            request_id: "c1".to_owned(),
            correlation: "saga".to_owned(),
            data: Map::new(),
        }
    }

    #[test]
    fn an_answer_fits_its_schema_and_is_the_same_for_the_same_event() {
        let schema = include_str!("../../schemas/events/progress.residency.acknowledged.v1.json");
        let validator = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let answer = arrived(command("e1"), now).answer;
        assert_eq!(answer.id, arrived(command("e1"), now).answer.id);
        assert_ne!(answer.id, arrived(command("e2"), now).answer.id);
        let event = Event {
            kind: answer.kind.into(),
            id: answer.id.to_string(),
            tenant: TenantId::DEFAULT,
            subject: "c1".to_owned(),
            time: answer.time,
            key: "c1".to_owned(),
            correlation: answer.correlation,
            causation: answer.causation.to_string(),
            traceparent: None,
            data: answer.data,
        };
        let envelope: Value = serde_json::from_str(&event.to_json().unwrap()).unwrap();
        let wrong: Vec<String> = validator.iter_errors(&envelope).map(|e| e.to_string()).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        assert_eq!(envelope["data"]["changeId"], "c1");
    }

    #[test]
    fn the_cause_is_the_commands_own_id_where_that_is_a_uuid() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let id = "5f4f0fcc-3d4c-4f63-9d3a-000000000001";
        assert_eq!(arrived(command(id), now).answer.causation.to_string(), id);
        assert_eq!(arrived(command("e1"), now).answer.causation, arrived(command("e1"), now).answer.causation);
    }

    #[test]
    fn a_dead_letter_names_the_place_and_nothing_of_the_content() {
        let message = Received {
            kind: CommandKind::Erasure.topic(),
            topic: "p.gdpr".to_owned(),
            partition: 3,
            offset: 7,
            payload: b"ann@example.com".to_vec(),
            sent_millis: None,
        };
        let letter = letter(&message, TenantId::DEFAULT, "it is no JSON", DateTime::UNIX_EPOCH);
        let text = letter.to_json().unwrap();
        assert!(text.contains("p.gdpr/3/7") && text.contains("it is no JSON") && !text.contains("ann@"), "{text}");
    }
}
