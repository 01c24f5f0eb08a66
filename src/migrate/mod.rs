//! The migration room: the canonical runner, and the tools around it.

pub mod lint;
