//! Who asks that a query ends: another connection, with the number and the secret that the first one was given.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI32, Ordering},
    },
};

use pgwire::messages::startup::SecretKey;
use tokio_util::sync::CancellationToken;

/// The connections that can be told. Cheap to clone.
#[derive(Clone, Default)]
pub struct Cancels {
    open: Arc<Mutex<HashMap<i32, (SecretKey, Arc<Cancel>)>>>,
    last: Arc<AtomicI32>,
}

/// Of one connection; it is forgotten when this is dropped.
pub struct Registered {
    cancels: Cancels,
    pub number: i32,
    pub secret: SecretKey,
    pub cancel: Arc<Cancel>,
}

/// What runs now.
#[derive(Default)]
pub struct Cancel(Mutex<CancellationToken>);

impl Cancel {
    /// Of the next message: what was asked before is forgotten.
    pub fn begin(&self) -> CancellationToken {
        let mut token = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *token = CancellationToken::new();
        token.clone()
    }
}

impl Cancels {
    pub fn register(&self) -> Registered {
        let number = self.last.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let (secret, cancel) = (rand::random::<i32>(), Arc::new(Cancel::default()));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(number, (SecretKey::I32(secret), Arc::clone(&cancel)));
        Registered { cancels: self.clone(), number, secret: SecretKey::I32(secret), cancel }
    }

    /// A wrong secret changes nothing, and nobody is told.
    pub fn cancel(&self, number: i32, secret: &SecretKey) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, cancel)) = open.get(&number).filter(|(known, _)| known == secret) {
            cancel.0.lock().unwrap_or_else(PoisonError::into_inner).cancel();
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.cancels.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_cancels_and_only_what_runs() {
        let cancels = Cancels::default();
        let one = cancels.register();
        let other = cancels.register();
        let token = one.cancel.begin();
        cancels.cancel(one.number, &other.secret);
        cancels.cancel(other.number, &other.secret);
        assert!(!token.is_cancelled());
        cancels.cancel(one.number, &one.secret);
        assert!(token.is_cancelled() && !one.cancel.begin().is_cancelled());
        let number = one.number;
        drop(one);
        assert!(!cancels.open.lock().unwrap().contains_key(&number));
    }
}
