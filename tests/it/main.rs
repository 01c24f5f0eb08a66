//! The integration tests: one binary, so that it links once and shares its servers.
//!
//! They talk to real servers, which `make test` starts; see `docs/testing.md`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test and its helpers end by saying what is wrong; the lints know tests only by their attribute"
)]
#![allow(clippy::large_futures, reason = "a test awaits one story from its beginning to its end")]

#[macro_use]
mod support;

mod admin_migrations;
mod api;
mod archive;
mod archived;
mod audit;
mod backfills;
mod backup;
mod backups;
mod beside;
mod catalog;
mod checks;
mod closed_pipe;
mod cmi5;
mod compat;
mod data;
mod demo;
mod doors;
mod draining;
mod embedded;
mod erasure;
mod fences;
mod fills;
mod flags;
mod groups;
mod guards;
mod helped;
mod house;
mod identity;
mod image;
mod inbox;
mod integrity;
mod jobs;
mod lifecycle;
mod logs;
mod loops;
mod lost_commits;
mod measured;
mod migrate;
mod pages;
mod patterns;
mod pooler;
mod projections;
mod pushes;
mod relay;
mod replay;
mod rescheme;
mod residency;
mod retention;
mod rolling;
mod rollouts;
mod sabotage;
mod segments;
mod services;
mod serving;
mod shell;
mod stock;
mod subject;
mod supervised;
mod tellings;
mod tls;
mod traces;
mod transfer;
mod tutorial;
mod validate;
mod xapi;
