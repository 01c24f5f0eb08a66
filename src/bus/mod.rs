//! The door to Kafka. Nothing else speaks to a broker.

pub mod connection;
mod delivery;
pub mod producer;
mod topics;
