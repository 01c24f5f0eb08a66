//! A process that is gone in the middle: work that is dropped where it waits, with its sessions closed and nothing tidied up.

use std::{future::Future, pin::pin, task::Poll};

/// Lets the work wait so many times, and then drops it, as SIGKILL would; `None` where it was cut off.
pub async fn cut_off<T>(work: impl Future<Output = T>, waits: usize) -> Option<T> {
    let (mut work, mut left) = (pin!(work), waits);
    std::future::poll_fn(move |context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}
