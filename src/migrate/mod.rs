//! The migration room: the canonical runner, and the tools around it.

pub mod adopt;
pub mod approve;
mod bridge;
pub mod checked;
pub mod checks;
pub mod checksum;
mod concurrent;
pub mod create;
pub mod down;
pub mod fingerprint;
pub mod head;
pub mod jobs;
pub mod lint;
mod losses;
pub mod modules;
pub mod names;
mod note;
pub mod plan;
mod rehearse;
pub mod releases;
pub mod replay;
pub mod report;
pub mod run;
pub mod shape;
pub mod squash;
pub mod stale;
pub mod startup;
pub mod statements;
pub mod tally;

pub use modules::Module;
pub use plan::Wish;
pub use report::{Event, Report, RunReport};
pub use run::{MigrateError, Request, Runner, Settings, silent};
pub use startup::Verdict;
