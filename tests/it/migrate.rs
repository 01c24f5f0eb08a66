//! The migration runner against both servers: what it applies, what it refuses, and what survives a crash.

mod adopts;
mod beside;
mod command;
pub mod crashes;
mod evidence;
mod figures;
mod fill;
mod fixture;
mod harmless;
mod lived_in;
mod locks;
mod places;
mod promises;
mod refuses;
mod reverse;
mod runs;
mod squashes;
mod stops;
mod tools;
mod upgrades;
mod waits;
mod writers;
