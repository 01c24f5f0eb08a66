//! `/api/v1/admin`: what operators do over HTTP.

pub mod credentials;
pub mod jobs;
pub mod migrations;
pub mod tenants;
