//! A lease as a value: what a node holds while it does work that only one may do.

use std::sync::Arc;

/// Proof of having taken a lease; `fence` grows with each taking but a renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub name: Arc<str>,
    pub fence: i64,
}
