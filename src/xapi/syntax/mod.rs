//! The small grammars a statement is made of, one file each. Pure functions over `&str`; they never allocate for valid text.

pub mod duration;
pub mod hash;
pub mod iri;
pub mod language;
pub mod mbox;
pub mod media_type;
pub mod statement_version;
pub mod timestamp;
pub mod uuid;
