//! How PostgreSQL is spoken to: sessions and their pools, transactions and when they are repeated, errors.

pub(in crate::store) mod copy;
pub mod ddl;
pub mod error;
pub(in crate::store) mod failure;
pub mod fate;
pub mod pool;
pub mod pooler;
pub mod run_tx;
pub mod tls;
pub mod tx;
pub(in crate::store) mod whom;
mod witness;
