//! The partitions of the ledger: made ahead of time, so that no statement ever waits for one.

pub mod plan;
pub mod run;
