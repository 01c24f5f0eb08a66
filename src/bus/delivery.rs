//! Delivery reports (acknowledgements) of the brokers, counted for each batch of messages.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use rdkafka::{
    ClientContext,
    error::KafkaError,
    producer::{DeliveryResult, ProducerContext},
};
use tokio::sync::Notify;

/// Messages that were handed over together, and what is known of their fate.
#[derive(Debug)]
pub(super) struct Batch {
    /// Messages without an answer, and one for the sender, who may still add to them.
    open: AtomicUsize,
    failure: Mutex<Option<KafkaError>>,
    changed: Notify,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self { open: AtomicUsize::new(1), failure: Mutex::new(None), changed: Notify::new() }
    }

    pub(super) fn expect_one(&self) {
        self.open.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn expect_one_less(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.changed.notify_one();
        }
    }

    /// Waits for the answers to all messages, or for the first that failed.
    pub(super) async fn all_acknowledged(&self) -> Result<(), KafkaError> {
        self.expect_one_less();
        loop {
            if let Some(error) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return Err(error);
            }
            if self.open.load(Ordering::Acquire) == 0 {
                return Ok(());
            }
            self.changed.notified().await;
        }
    }

    fn answered(&self, result: Result<(), KafkaError>) {
        if let Err(error) = result {
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            self.changed.notify_one();
        }
        self.expect_one_less();
    }
}

/// Called by librdkafka's thread for each message.
pub(super) struct Reports;

impl ClientContext for Reports {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "the brokers");
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Arc<Batch>;

    fn delivery(&self, result: &DeliveryResult<'_>, batch: Arc<Batch>) {
        batch.answered(result.as_ref().map(drop).map_err(|(error, _)| error.clone()));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use rdkafka::error::RDKafkaErrorCode;

    use super::*;

    #[test]
    fn a_batch_ends_with_its_last_answer() {
        let batch = Batch::new();
        batch.expect_one();
        batch.expect_one();
        batch.answered(Ok(()));
        let mut waiting = Box::pin(batch.all_acknowledged());
        assert_eq!(waiting.as_mut().now_or_never(), None);
        batch.answered(Ok(()));
        assert_eq!(waiting.now_or_never(), Some(Ok(())));
    }

    #[test]
    fn nothing_sent_is_all_acknowledged() {
        assert_eq!(Batch::new().all_acknowledged().now_or_never(), Some(Ok(())));
    }

    #[test]
    fn the_first_failure_is_not_waited_past() {
        let batch = Batch::new();
        batch.expect_one();
        batch.expect_one();
        let failure = KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut);
        batch.answered(Err(failure.clone()));
        assert_eq!(batch.all_acknowledged().now_or_never(), Some(Err(failure)));
    }
}
