//! What the service is doing as a whole, and so what it may answer.

use std::sync::Arc;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::ConnectionType,
    middleware::Next,
};
use tokio::sync::watch;

/// The phases, in the order they come; `Maintenance` and `Serving` may follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The schema has not been looked at yet.
    Starting,
    /// Migrations wait for a person: health and administration answer, the data plane does not.
    Maintenance {
        pending: Arc<[String]>,
    },
    Serving,
    /// A signal came: accepted requests finish, and load balancers are told to go elsewhere.
    Draining {
        /// Why the data plane was closed when the signal came.
        closed: Option<String>,
    },
}

impl Phase {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Maintenance { .. } => "maintenance",
            Self::Serving => "serving",
            Self::Draining { .. } => "draining",
        }
    }

    /// Why the data plane does not answer; `None` when it does. Draining still answers what was answered before.
    pub fn closed(&self) -> Option<String> {
        match self {
            Self::Starting => Some("the service is starting".to_owned()),
            Self::Maintenance { pending } => {
                Some(format!("the service waits for migrations that a person must start: {}", pending.join(", ")))
            }
            Self::Serving => None,
            Self::Draining { closed } => closed.clone(),
        }
    }

    pub fn is_draining(&self) -> bool {
        matches!(self, Self::Draining { .. })
    }
}

/// The current phase, shared by everything that asks or decides.
#[derive(Clone, Debug)]
pub struct Lifecycle(Arc<watch::Sender<Phase>>);

impl Default for Lifecycle {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Starting)))
    }
}

impl Lifecycle {
    pub fn phase(&self) -> Phase {
        self.0.borrow().clone()
    }

    pub fn is_draining(&self) -> bool {
        self.0.borrow().is_draining()
    }

    /// The last phase begins.
    pub fn drain(&self) {
        let closed = self.phase().closed();
        self.enter(Phase::Draining { closed });
    }

    /// The outermost middleware: while draining, every answer says that its connection ends with it.
    pub async fn pass<B: MessageBody>(self, req: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
        let mut response = next.call(req).await?;
        if self.is_draining() {
            response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        }
        Ok(response)
    }

    /// Moves on. There is no way back from draining: late news from a migration must not reopen the doors.
    pub fn enter(&self, next: Phase) {
        self.0.send_if_modified(|phase| {
            let moves = !phase.is_draining() && *phase != next;
            if moves {
                tracing::info!(from = phase.name(), to = next.name(), "phase changed");
                *phase = next;
            }
            moves
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_plane_is_closed_until_serving_and_says_what_is_pending() {
        let lifecycle = Lifecycle::default();
        assert!(lifecycle.phase().closed().is_some());
        lifecycle.enter(Phase::Maintenance { pending: Arc::from(["ledger/100_split.sql".to_owned()]) });
        assert!(lifecycle.phase().closed().unwrap().contains("100_split"));
        lifecycle.enter(Phase::Serving);
        assert_eq!(lifecycle.phase().closed(), None);
    }

    #[test]
    fn nothing_leaves_draining() {
        let lifecycle = Lifecycle::default();
        lifecycle.clone().drain();
        lifecycle.enter(Phase::Serving);
        assert!(lifecycle.is_draining());
    }

    #[test]
    fn draining_opens_nothing_that_was_closed() {
        let lifecycle = Lifecycle::default();
        lifecycle.enter(Phase::Maintenance { pending: Arc::from(["ledger/100_split.sql".to_owned()]) });
        lifecycle.drain();
        assert!(lifecycle.phase().closed().unwrap().contains("100_split"));
        let lifecycle = Lifecycle::default();
        lifecycle.enter(Phase::Serving);
        lifecycle.drain();
        assert_eq!(lifecycle.phase().closed(), None);
    }
}
