//! What every integration test stands on: servers, databases, topics, buckets and processes of its own.
//!
//! Nothing here sleeps for a fixed time and hopes; whatever waits, waits for an answer.
#![allow(dead_code, reason = "a helper may wait for its first test")]

#[macro_use]
pub mod pg;
pub mod app;
pub mod authority;
pub mod background;
pub mod collector;
pub mod cut;
pub mod faulty;
pub mod http;
pub mod kafka;
pub mod kafkaproc;
pub mod months;
pub mod past;
pub mod patience;
pub mod pgbouncer;
pub mod pgproc;
pub mod process;
pub mod proxy;
pub mod s3;
pub mod schemas;
pub mod segments;
pub mod settings;
pub mod shop;
