//! The schema `ledger`: statements and what belongs to them, documents, attachments, references, partitions,
//! and the segments of those that went to the archive.

pub mod attachments;
pub mod away;
pub mod demo;
pub mod documents;
pub mod fills;
pub mod foreign;
pub mod links;
pub mod loads;
pub mod month_rows;
pub mod pages;
pub mod partitions;
pub mod person_reads;
pub mod remember;
pub mod schemes;
pub mod seen;
pub mod segments;
pub mod statements;
pub mod tables;
pub mod vocabulary;
pub mod voids;
