//! progress-service: an xAPI Learning Record Store with its migrations inside.
//!
//! The rooms of the house, lowest floor first. A room imports only from floors below its own;
//! `tests/it/house.rs` reads the sources and fails on any arrow that runs up or sideways.

// floor 0: pure language
pub mod cmi5;
pub mod config;
pub mod model;
pub mod telemetry;
pub use xapi;

// floor 1: doors
pub mod bus;
pub mod embedded;
pub mod objects;
pub mod store;

// floor 2: what rooms of work stand on
pub mod audit;
pub mod bundle;
pub mod cold;
pub mod flags;
pub mod partitions;

// floor 3: rooms of work
pub mod archive;
pub mod backup;
pub mod compat;
pub mod demo;
pub mod erasure;
pub mod identity;
pub mod inbox;
pub mod ingest;
pub mod migrate;
pub mod projections;
pub mod query;
pub mod relay;
pub mod residency;
pub mod retention;
pub mod rollout;
pub mod trail;
pub mod transcript;
pub mod transfer;

// floor 4: surfaces
pub mod http;
pub mod worker;

// floor 5: the whole
pub mod app;
pub mod cli;
