//! Commands of other services that a tenant is to live elsewhere: each becomes a move that is started, switched, and answered again when
//! it is over, or when it cannot be.

use chrono::SecondsFormat;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Act, Move, Residency, ResidencyError};
use crate::{
    model::{TenantId, job::State, names::derived, residence::MoveState},
    store::{
        As, StoreError,
        platform::{
            jobs::{self, Filter},
            residences,
        },
        progress::{
            outbox::{self, Telling},
            sagas::{self, Asked},
        },
    },
};

const KIND: &str = "residency";
/// The event that answers.
const ACKNOWLEDGED: &str = "progress.residency.acknowledged.v1";
/// Who asks, in the trail.
const BY: &str = "command";
/// Jobs that are looked through for those of a move.
const MOST: i64 = 50;

impl Residency {
    /// The same under a lease.
    #[must_use]
    pub fn under(&self, lease: &crate::model::Lease) -> Self {
        Self { store: self.store.under(lease), ..self.clone() }
    }

    /// Takes up commands that wait, and goes on with those that are at work; answers how many.
    pub async fn look_around(&self) -> Result<usize, ResidencyError> {
        let of = async |state| {
            self.store.run_tx("residency_sagas", As::Worker, |tx| Box::pin(sagas::in_state(tx, KIND, state))).await
        };
        let (new, running) = (of("recorded").await?, of("running").await?);
        for asked in &new {
            self.take_up(asked).await?;
        }
        let mut moved_on = new.len();
        for asked in &running {
            moved_on += usize::from(self.go_on(asked).await?);
        }
        Ok(moved_on)
    }

    fn id_of(asked: &Asked) -> Uuid {
        derived(asked.tenant, "residency", &[&asked.request])
    }

    async fn take_up(&self, asked: &Asked) -> Result<(), ResidencyError> {
        let said: Value = serde_json::from_str(&asked.data).unwrap_or_default();
        let cell = said["toRegion"].as_str().unwrap_or_default();
        if cell == self.here.name {
            return self.end(asked, "completed", "unchanged", &json!({})).await;
        }
        let noted = self.begin_as(Self::id_of(asked), (asked.tenant, cell), None, (BY, &asked.request)).await;
        match noted {
            Ok(_) => {
                let (of, request) = ((asked.tenant, KIND), asked.request.as_str());
                let settled = self.store.run_tx("residency_runs", As::Worker, |tx| {
                    Box::pin(async move { sagas::settle(tx, of, request, "running").await.map(drop) })
                });
                Ok(settled.await?)
            }
            Err(error) if error.is_passing() => Err(error),
            Err(error) => self.end(asked, "failed", "refused", &json!({ "reason": error.to_string() })).await,
        }
    }

    /// Whether there was something to do for it.
    async fn go_on(&self, asked: &Asked) -> Result<bool, ResidencyError> {
        let found = self.get(Self::id_of(asked)).await?;
        let act = match found.state {
            MoveState::Planned | MoveState::Copying => Act::Start,
            MoveState::Verified | MoveState::Frozen | MoveState::Switching => Act::Switch,
            MoveState::Switched | MoveState::Purging | MoveState::Purged => {
                let moved = json!({ "cell": found.cell, "endpoint": found.endpoint, "moveId": found.id, "auditEntry": found.report });
                return self.end(asked, "completed", "moved", &moved).await.map(|()| true);
            }
            MoveState::Returning | MoveState::Reopening | MoveState::Returned | MoveState::Cancelled => {
                let why = json!({ "reason": format!("the move is {}", found.state.name()) });
                return self.end(asked, "failed", "refused", &why).await.map(|()| true);
            }
        };
        match self.last_job(&found).await? {
            Some(job) if !job.state.is_over() => Ok(false),
            // It gave up, and a person looks at it: whoever asked is told so.
            Some(job) if job.state != State::Succeeded => {
                let reason = found.trouble.or(job.error).unwrap_or_default();
                self.end(asked, "failed", "refused", &json!({ "reason": reason })).await.map(|()| true)
            }
            _ => {
                self.order(found.id, act, BY).await?;
                Ok(true)
            }
        }
    }

    async fn last_job(&self, of: &Move) -> Result<Option<jobs::Job>, ResidencyError> {
        let filter = Filter { kind: Some(super::KIND.to_owned()), ..Filter::default() };
        let found = self.store.run_tx("jobs_of_move", As::Worker, |tx| Box::pin(jobs::list(tx, &filter, MOST))).await?;
        let id = of.id.to_string();
        Ok(found.into_iter().find(|job| job.parameters["move"] == json!(id)))
    }

    /// Answers whoever asked, in the transaction that ends the request.
    async fn end(&self, asked: &Asked, state: &str, status: &str, more: &Value) -> Result<(), ResidencyError> {
        let Asked { tenant, request, event, .. } = asked;
        let tenant: TenantId = *tenant;
        self.store
            .run_once("residency_ends", As::Worker, |tx| {
                Box::pin(async move {
                    if sagas::settle(tx, (tenant, KIND), request, state).await?.is_none() {
                        return Ok::<_, StoreError>(());
                    }
                    let now = residences::clock(tx).await?;
                    let mut data = json!({ "changeId": request, "commandId": event, "service": "progress-service",
                        "status": status, "acknowledgedAt": now.to_rfc3339_opts(SecondsFormat::Micros, true) });
                    if let (Some(data), Some(more)) = (data.as_object_mut(), more.as_object()) {
                        data.extend(more.clone());
                    }
                    let data = data.to_string();
                    let telling = Telling {
                        id: derived(tenant, ACKNOWLEDGED, &[request, status]),
                        kind: ACKNOWLEDGED,
                        key: request,
                        correlation: event,
                        causation: event
                            .parse()
                            .unwrap_or_else(|_| derived(tenant, "tenant.data_residency.changed.v1", &[event])),
                        occurred: now,
                        data: &data,
                    };
                    outbox::put(tx, tenant, &[telling]).await
                })
            })
            .await?;
        Ok(())
    }
}
