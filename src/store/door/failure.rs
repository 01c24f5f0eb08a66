//! A transaction that failed: why, and whether it may be done again.

use super::witness::Witness;
use crate::store::StoreError;

/// What a lost answer to COMMIT means for the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Repeats {
    /// The work may be done again: doing it twice is as doing it once.
    Freely,
    /// Only once it is known that nothing of it stands.
    WhenAborted,
}

/// Why an attempt failed.
pub(in crate::store) struct Failure<T, E> {
    pub error: E,
    /// What to answer where it was committed all the same.
    pub value: Option<T>,
    pub witness: Option<Witness>,
    /// COMMIT was sent, and the answer to it never came.
    pub in_doubt: bool,
}

impl<T, E: From<StoreError>> Failure<T, E> {
    pub fn of(error: impl Into<E>) -> Self {
        let error = error.into();
        Self { error, value: None, witness: None, in_doubt: false }
    }
}
