//! What a change of a table costs those who use it.

use super::lock::LockClass;

/// A lock class, and why it is held long.
pub(super) type Cost = (LockClass, Option<&'static str>);

pub(super) const REWRITES: &str = "writes the whole table anew";
pub(super) const SCANS: &str = "looks at every row";
pub(super) const BUILDS: &str = "builds an index";
