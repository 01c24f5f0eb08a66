//! Backfills and comparisons: data files that a job walks a table with, batch by batch beside the running work.

pub mod desk;
pub mod file;
pub mod pace;
mod run;
mod steps;

pub use desk::{Backfills, DeskError, KIND, Standing};
pub use file::Task;
pub use run::Stepped;
pub use steps::{Did, Steps};
