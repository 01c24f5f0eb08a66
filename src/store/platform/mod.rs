//! The schema `platform`: tenants and their keys, who may lead, long work, and who did what.

pub mod audit;
pub mod credentials;
pub mod fetches;
pub mod installation;
pub mod jobs;
pub mod leases;
pub mod signing_keys;
pub mod tenants;
