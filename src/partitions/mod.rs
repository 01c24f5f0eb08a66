//! The partitions of the ledger: made ahead of time, so that no statement ever waits for one; sealed when everybody has read
//! them; and moved out of the queries' way and back, at no moment nowhere.

pub mod ask;
pub mod change;
pub mod jobs;
pub mod plan;
pub mod rescheme;
pub mod run;
