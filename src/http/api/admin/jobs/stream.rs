//! A job as it goes on, in server-sent events: one each time that something of it changes, until it is over.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{HttpResponse, http::header, web::Bytes};
use futures_util::{Stream, stream};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

use super::{
    Shown,
    watched::{Watch, Watched},
};
use crate::{
    http::{HttpError, Lifecycle, answer::Unhurried},
    store::{Store, platform::jobs::Job},
};

/// Streams at a time on one node: together they ask the database about twice a second.
const MOST: usize = 64;
const LOOK: Duration = Duration::from_millis(500);
/// A comment, so that nobody between takes a quiet stream for a dead one.
const STILL_HERE: Duration = Duration::from_secs(15);
/// When who found no room may try again.
const COME_BACK: Duration = Duration::from_secs(5);

/// The streams of a node.
pub struct Streams {
    places: Arc<Semaphore>,
    watched: Arc<Watched>,
    lifecycle: Lifecycle,
}

impl Streams {
    pub fn new(lifecycle: Lifecycle) -> Self {
        Self { places: Arc::new(Semaphore::new(MOST)), watched: Arc::default(), lifecycle }
    }

    /// Answers with the job as it is, and goes on from there.
    pub(in crate::http) fn follow(&self, store: Store, job: Job) -> Result<HttpResponse, HttpError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| HttpError::Unavailable {
            why: format!("{MOST} streams are open on this node, and no more are"),
            retry_after: COME_BACK,
        })?;
        let (lifecycle, watch) = (self.lifecycle.clone(), self.watched.follow(job.clone()));
        let follower = Follower { store, job, watch, lifecycle, told: None, spoke: Instant::now(), _place: place };
        let mut answer = HttpResponse::Ok();
        let mut answer = answer.insert_header((header::CONTENT_TYPE, "text/event-stream")).streaming(events(follower));
        answer.extensions_mut().insert(Unhurried);
        Ok(answer)
    }
}

struct Follower {
    store: Store,
    job: Job,
    watch: Watch,
    lifecycle: Lifecycle,
    /// What was told last, without the sign of life.
    told: Option<String>,
    spoke: Instant,
    _place: OwnedSemaphorePermit,
}

fn events(follower: Follower) -> impl Stream<Item = Result<Bytes, HttpError>> {
    stream::try_unfold(
        follower,
        |mut follower| async move { Ok(follower.next().await?.map(|event| (event, follower))) },
    )
}

impl Follower {
    /// The next event; `None` at the end, which also comes when the node stops: whoever wants more asks another.
    async fn next(&mut self) -> Result<Option<Bytes>, HttpError> {
        loop {
            if let Some(event) = self.news()? {
                self.spoke = Instant::now();
                return Ok(Some(event));
            }
            if self.job.state.is_over() || self.lifecycle.is_draining() {
                return Ok(None);
            }
            sleep(LOOK).await;
            self.look().await?;
            if self.spoke.elapsed() >= STILL_HERE {
                self.spoke = Instant::now();
                return Ok(Some(Bytes::from_static(b": still here\n\n")));
            }
        }
    }

    /// The event of a job of which something changed since the last one.
    fn news(&mut self) -> Result<Option<Bytes>, HttpError> {
        let mut document = serde_json::to_value(Shown::from(self.job.clone())).map_err(HttpError::internal)?;
        let event = format!("event: job\ndata: {document}\n\n");
        document.as_object_mut().and_then(|document| document.remove("heartbeatAt"));
        let text = document.to_string();
        if self.told.as_ref() == Some(&text) {
            return Ok(None);
        }
        self.told = Some(text);
        Ok(Some(event.into()))
    }

    /// A database that is away is asked again.
    async fn look(&mut self) -> Result<(), HttpError> {
        match self.watch.now(&self.store).await {
            Ok(Some(job)) => self.job = job,
            Ok(None) => {}
            Err(error) if error.is_temporary() => tracing::debug!(%error, "a job cannot be followed just now"),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
