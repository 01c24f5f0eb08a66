//! The schema `progress`: attempts and what follows from them, events on their way out, commands on their way in.

pub mod activity;
pub mod attempts;
pub mod closures;
pub mod courses;
pub mod erasing;
pub mod forwards;
pub mod gates;
pub mod inbox;
pub mod marks;
pub mod outbox;
pub mod projections;
pub mod reads;
pub mod rebuild;
pub mod registries;
pub mod relay;
pub mod reports;
pub mod sagas;
pub mod satisfied;
pub mod subject;
