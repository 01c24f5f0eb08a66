//! The migration room: the canonical runner, and the tools around it.

pub mod checksum;
pub mod fingerprint;
pub mod head;
pub mod lint;
pub mod modules;
pub mod names;
pub mod shape;
pub mod statements;
