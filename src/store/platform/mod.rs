//! The schema `platform`: tenants and their keys, who may lead, long work, and who did what.

pub mod audit;
pub mod audit_log;
pub mod backfills;
pub mod carried;
pub mod credentials;
pub mod fetches;
pub mod flags;
pub mod installation;
pub mod jobs;
pub mod launches;
pub mod leases;
pub mod leaving;
pub mod moves;
pub mod person_sessions;
pub mod portable;
pub mod residences;
pub mod rollouts;
pub mod sessions;
pub mod signing_keys;
pub mod tellings;
pub mod tenants;
