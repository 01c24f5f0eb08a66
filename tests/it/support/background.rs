//! A runtime of the harness itself: it outlives every test's runtime, and `Drop` can wait for it.

use std::{
    future::Future,
    sync::{OnceLock, mpsc},
};

use tokio::runtime::{Builder, Handle, Runtime};

/// Where connections of the harness are driven.
pub fn runtime() -> &'static Handle {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME
        .get_or_init(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime"))
        .handle()
}

/// Waits for `work` from synchronous code, also inside another runtime, where `block_on` may not be called.
pub fn wait_for<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    let (done, result) = mpsc::channel();
    runtime().spawn(async move {
        // The receiver waits below; it cannot be gone.
        let _ = done.send(work.await);
    });
    result.recv().ok()
}
