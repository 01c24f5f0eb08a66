//! Large response bodies: streamed in chunks, counted against the memory budget until they are sent, with a minimum rate.
//!
//! A client that reads nothing at all is closed by a socket timeout (see [`super::server`]); here one that reads too slowly.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use actix_web::{
    HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    web::Bytes,
};
use prometheus::IntCounter;

use super::{HttpError, budget::Hold};

/// Answers up to this many bytes are given as they are: they fit the buffers of their connection.
const SMALL: u64 = 64 << 10;
/// Bytes that are handed over at once.
const PIECE: usize = 32 << 10;

/// Put to an answer that goes on for as long as there is something to tell: it has its own bound.
pub struct Unhurried;

/// What a reader must keep up.
#[derive(Clone, Debug)]
pub struct Taking {
    /// The time every answer has.
    pub base: Duration,
    /// Bytes a second that earn more time.
    pub rate: usize,
    /// Counts the answers that were not taken to their end.
    pub untaken: IntCounter,
}

impl Taking {
    /// The response with its body under this pace, and under the budget while it is not taken.
    pub fn hold(&self, response: HttpResponse, mut room: Hold) -> Result<HttpResponse, HttpError> {
        let size = response.body().size();
        match size {
            _ if response.extensions().contains::<Unhurried>() => return Ok(response),
            BodySize::Sized(size) if size > SMALL => room.grow(usize::try_from(size).unwrap_or(usize::MAX))?,
            BodySize::Stream => {}
            _ => return Ok(response),
        }
        Ok(response.map_body(|_, body| {
            let taking = self.clone();
            BoxBody::new(Given {
                body,
                size,
                rest: Bytes::new(),
                taking,
                given: 0,
                started: None,
                ended: false,
                _room: room,
            })
        }))
    }
}

/// An answer that is being taken.
struct Given {
    body: BoxBody,
    /// Of the whole: the body itself forgets it when it has given all.
    size: BodySize,
    /// Of the body's last chunk, what was not handed over yet.
    rest: Bytes,
    taking: Taking,
    given: usize,
    started: Option<Instant>,
    ended: bool,
    _room: Hold,
}

impl MessageBody for Given {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        let started = *this.started.get_or_insert_with(Instant::now);
        let earned = Duration::from_secs((this.given / this.taking.rate) as u64);
        if started.elapsed() > this.taking.base + earned {
            return Poll::Ready(Some(Err(
                io::Error::new(io::ErrorKind::TimedOut, "the answer was not taken in time").into()
            )));
        }
        while this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_next(cx)) {
                Some(Ok(chunk)) => this.rest = chunk,
                end => {
                    this.ended = end.is_none();
                    return Poll::Ready(end);
                }
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE));
        this.given += piece.len();
        Poll::Ready(Some(Ok(piece)))
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        if !self.ended {
            self.taking.untaken.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use futures_util::future::poll_fn;

    use super::*;
    use crate::{
        http::{Budget, budget::Holder},
        telemetry::Metrics,
    };

    fn taking(base: Duration) -> Taking {
        Taking { base, rate: usize::MAX, untaken: IntCounter::new("untaken", "untaken").unwrap() }
    }

    fn given(taking: &Taking, budget: &Budget, bytes: usize) -> Result<HttpResponse, HttpError> {
        taking.hold(HttpResponse::Ok().body(vec![b'x'; bytes]), budget.hold(Holder::Stranger))
    }

    #[actix_web::test]
    async fn an_answer_is_held_until_it_is_taken_and_comes_whole() {
        let metrics = Metrics::new().unwrap();
        let (budget, taking) = (Budget::new(16 << 20, &metrics), taking(Duration::from_secs(60)));
        let answer = given(&taking, &budget, 1_000_000).unwrap();
        assert_eq!(metrics.http.held_bytes.get(), 1_000_000);
        assert!(given(&taking, &budget, 100_000).is_err(), "strangers have a sixteenth");
        assert!(given(&taking, &budget, 1_000).is_ok(), "what is small is not counted");
        assert_eq!(to_bytes(answer.into_body()).await.unwrap().len(), 1_000_000);
        assert_eq!((metrics.http.held_bytes.get(), taking.untaken.get()), (0, 0));
    }

    #[actix_web::test]
    async fn what_goes_on_is_not_cut() {
        let metrics = Metrics::new().unwrap();
        let (budget, taking) = (Budget::new(16 << 20, &metrics), taking(Duration::ZERO));
        let mut answer = HttpResponse::Ok().body(vec![b'x'; 1_000_000]);
        answer.extensions_mut().insert(Unhurried);
        let answer = taking.hold(answer, budget.hold(Holder::Stranger)).unwrap();
        assert_eq!(to_bytes(answer.into_body()).await.unwrap().len(), 1_000_000);
    }

    #[actix_web::test]
    async fn who_takes_too_long_is_cut() {
        let metrics = Metrics::new().unwrap();
        let (budget, taking) = (Budget::new(16 << 20, &metrics), taking(Duration::ZERO));
        let mut body = given(&taking, &budget, 1_000_000).unwrap().into_body();
        let mut last = None;
        for _ in 0..100 {
            last = poll_fn(|cx| Pin::new(&mut body).poll_next(cx)).await;
            if last.as_ref().is_none_or(Result::is_err) {
                break;
            }
        }
        assert!(last.unwrap().is_err());
        drop(body);
        assert_eq!((metrics.http.held_bytes.get(), taking.untaken.get()), (0, 1));
    }
}
