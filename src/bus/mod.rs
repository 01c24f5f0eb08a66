//! The door to Kafka. Nothing else speaks to a broker.

pub mod connection;
pub mod consumer;
mod delivery;
pub mod producer;
pub mod reader;
mod topics;
