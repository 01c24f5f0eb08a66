//! The integration tests: one binary, so that it links once and shares its servers.
//!
//! They talk to real servers, which `make test` starts; see `docs/testing.md`.

#[macro_use]
mod support;

mod catalog;
mod checks;
mod doors;
mod embedded;
mod house;
mod identity;
mod loops;
mod migrate;
mod services;
mod serving;
