//! Request bodies: a minimum rate against slow clients (slowloris), whatever the size, and no byte is buffered before the
//! memory budget has room for it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{dev::Payload, error::PayloadError, web::Bytes};
use futures_util::Stream;
use prometheus::IntCounter;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{HttpError, budget::Hold};

/// What a sender must keep up.
#[derive(Clone, Debug)]
pub struct Pace {
    /// The time every body has.
    pub base: Duration,
    /// Bytes a second that earn more time.
    pub rate: usize,
    pub slow: IntCounter,
}

impl Pace {
    /// The payload with this pace; the time starts when somebody first waits for it.
    pub fn hold(&self, payload: Payload) -> Payload {
        if matches!(payload, Payload::None) {
            return payload;
        }
        let paced = Paced { payload, pace: self.clone(), received: 0, started: None, timer: None };
        Payload::Stream { payload: Box::pin(paced) }
    }
}

/// A body that is being collected.
pub struct Collected {
    pub bytes: Vec<u8>,
    limit: usize,
    /// The length that the body says it has.
    announced: usize,
}

impl Collected {
    /// Refuses at once what says that it is larger than `limit`.
    pub fn new(limit: usize, announced: Option<usize>) -> Result<Self, HttpError> {
        if announced.is_some_and(|length| length > limit) {
            return Err(too_large(limit));
        }
        Ok(Self { bytes: Vec::new(), limit, announced: announced.unwrap_or(0) })
    }

    /// Takes a chunk once there is room: for all that was announced, or for twice what is here already.
    pub fn add(&mut self, chunk: &[u8], room: &mut Hold) -> Result<(), HttpError> {
        let length = self.bytes.len() + chunk.len();
        if length > self.limit {
            return Err(too_large(self.limit));
        }
        let capacity = self.bytes.capacity();
        if length > capacity {
            let wanted = self.announced.max(2 * capacity).min(self.limit).max(length);
            room.grow(wanted - capacity)?;
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }
}

pub fn too_large(limit: usize) -> HttpError {
    HttpError::TooLarge { what: "the body", limit }
}

struct Paced {
    payload: Payload,
    pace: Pace,
    received: usize,
    started: Option<Instant>,
    /// Made at the first wait: most bodies are here at once and never need one.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stream for Paced {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        match Pin::new(&mut this.payload).poll_next(cx) {
            Poll::Ready(Some(Ok(chunk))) => {
                this.received += chunk.len();
                return Poll::Ready(Some(Ok(chunk)));
            }
            Poll::Pending => {}
            ended => return ended,
        }
        let started = *this.started.get_or_insert_with(Instant::now);
        let earned = Duration::from_secs((this.received / this.pace.rate) as u64);
        let deadline = started + this.pace.base + earned;
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx).map(|()| {
            this.pace.slow.inc();
            Some(Err(PayloadError::Io(io::Error::new(io::ErrorKind::TimedOut, "the body was not sent in time"))))
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::*;

    /// Every body has 50 ms; each byte earns a second.
    fn pace() -> Pace {
        let slow = IntCounter::new("slow", "slow").unwrap();
        Pace { base: Duration::from_millis(50), rate: 1, slow }
    }

    fn body(chunks: impl Stream<Item = Bytes> + 'static) -> Payload {
        Payload::Stream { payload: Box::pin(chunks.map(Ok)) }
    }

    #[tokio::test]
    async fn a_sender_that_stops_is_cut() {
        let pace = Pace { rate: usize::MAX, ..pace() };
        let sent = body(stream::iter([Bytes::from_static(b"x")]).chain(stream::pending()));
        let got: Vec<_> = pace.hold(sent).take(2).collect().await;
        assert!(got[0].is_ok());
        let Err(PayloadError::Io(error)) = &got[1] else { panic!("{:?}", got[1]) };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(pace.slow.get(), 1);
    }

    #[tokio::test]
    async fn a_sender_that_trickles_for_ever_is_cut() {
        let pace = Pace { rate: usize::MAX, ..pace() };
        let trickle = stream::repeat(Bytes::from_static(b"x")).then(|byte| async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            byte
        });
        let ended = pace.hold(body(trickle)).any(|chunk| std::future::ready(chunk.is_err())).await;
        assert!(ended);
    }

    #[tokio::test]
    async fn a_large_body_earns_its_time() {
        let late = stream::once(async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            Bytes::from_static(b"end")
        });
        let sent = body(stream::iter([Bytes::from(vec![b'x'; 100_000])]).chain(late));
        let got: Vec<_> = pace().hold(sent).collect().await;
        assert!(got.len() == 2 && got.iter().all(Result::is_ok));
    }
}
