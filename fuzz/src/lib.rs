//! The `xapi` room alone: pure code needs no database, no broker and no server to be fuzzed.

// A target uses a part of the room; the rest of it is not dead.
#![allow(dead_code)]

#[path = "../../src/xapi/mod.rs"]
pub mod xapi;
