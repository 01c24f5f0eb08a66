//! What is archived, as tables: which segments there are, their columns, and the scan that an engine reads them by.

pub mod columns;
pub mod filters;
pub mod reach;
pub mod scan;
pub mod shelf;
pub mod table;
