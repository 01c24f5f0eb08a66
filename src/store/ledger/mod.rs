//! The schema `ledger`: statements and what belongs to them, documents, attachments, references, partitions,
//! the segments of those that went to the archive, the holds under which nothing is removed, and for a while the traces of requests.

pub mod absent;
pub mod aged;
pub mod attachments;
pub mod away;
pub mod belongings;
pub mod carried;
pub mod demo;
pub mod documents;
pub mod erased;
pub mod erasing;
pub mod erasures;
pub mod figures;
pub mod fills;
pub mod foreign;
pub mod hidden;
pub mod holds;
pub mod law;
pub mod links;
pub mod loads;
pub mod month_rows;
pub mod pages;
pub mod partitions;
pub mod person_reads;
pub mod remember;
pub mod removals;
pub mod retention;
pub mod schemes;
pub mod scrub;
pub mod seen;
pub mod segments;
pub mod statements;
pub mod tables;
pub mod traces;
pub mod vocabulary;
pub mod voids;
