//! Whom a rollout tells, as `/api/v1/admin/rollouts` shows it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::platform::tellings::Receiver;

/// Somebody who is told what a rollout does, and how far they were told.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RolloutReceiver)]
pub(super) struct Shown {
    /// Its name in the configuration, or `events`: the topic of events.
    receiver: String,
    /// `told`, `waiting`, `retrying` or `failed`: it is not tried any more until somebody asks for it.
    state: &'static str,
    /// How much it was told.
    told: i64,
    /// How much it is still to be told.
    waiting: i64,
    /// The number of the last event that it was told; 0: none.
    last_number: i64,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    told_at: Option<DateTime<Utc>>,
    /// Tries in a row that came to nothing.
    failures: i32,
    /// Why the last of them did.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_at: Option<DateTime<Utc>>,
    /// When it is tried next.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<DateTime<Utc>>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    given_up_at: Option<DateTime<Utc>>,
}

/// Whom a rollout tells.
#[derive(Serialize, ToSchema)]
#[schema(as = RolloutReceivers)]
pub(super) struct Listed {
    pub data: Vec<Shown>,
}

impl From<Receiver> for Shown {
    fn from(one: Receiver) -> Self {
        let state = one.state();
        let Receiver { name, told, told_at, count, waiting, failures, last_error, .. } = one;
        let Receiver { failed_at, retry_at, given_up_at, .. } = one;
        Self {
            receiver: name,
            state,
            told: count,
            waiting,
            last_number: told,
            told_at,
            failures,
            last_error,
            failed_at,
            retry_at,
            given_up_at,
        }
    }
}
