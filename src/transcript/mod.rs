//! What a learner achieved, as a document: progress and transcripts as data, and a transcript as a PDF to keep.
//!
//! Pure: rows come in, a document goes out. It never asks a database and never knows a request.

pub mod model;

pub use model::{Attempt, Completion, Course, Learner, OverallState, Progress, Transcript};
