//! `/api/v1/admin`: what operators do over HTTP.

pub mod archive;
pub mod backfills;
pub mod credentials;
pub mod exports;
pub mod flags;
pub mod jobs;
pub mod migrations;
pub mod partitions;
mod planned;
mod receivers;
pub mod residency;
pub mod rollouts;
pub mod tenants;
