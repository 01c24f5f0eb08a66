//! A past that nobody had: tenants whose people learned for months, told statement by statement. Pure, and the same for the same
//! seed: what a day has follows from the seed, the tenant and the date alone.

mod calendar;
mod chance;
mod course;
mod documents;
mod lines;
mod outline;
mod people;
mod story;

pub use documents::{Document, documents};
pub use outline::{Day, Outline, PREFIX};
pub use story::{Told, tell};
