//! What projections tell, from the outbox into its envelope.

use crate::{model::Event, store::progress::outbox::Told};

/// The event of one row. Its subject and its key are the attempt.
pub(super) fn event(told: &Told) -> Event {
    Event {
        kind: told.kind.clone().into(),
        id: told.id.to_string(),
        tenant: told.tenant,
        subject: told.key.clone(),
        time: told.occurred,
        key: told.key.clone(),
        correlation: told.correlation.clone(),
        causation: told.causation.to_string(),
        traceparent: None,
        data: told.data.clone(),
    }
}
