//! The migration runner against both servers: what it applies, what it refuses, and what survives a crash.

mod fixture;
mod runs;
