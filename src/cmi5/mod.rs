//! cmi5 as a pure language: what a launch binds, what a statement says in its words, and the rules of its specification
//! that an LRS can hold. No IO: what was said before comes in as values.

mod form;
mod keys;
mod launch;
mod order;
mod preferences;
pub mod rules;
mod said;
mod structure;
mod verb;

pub use self::{
    form::read,
    launch::{Launch, LaunchMode},
    order::{Mark, Marks, Spoken, end_of_launch},
    preferences::{PREFERENCES, check as check_preferences},
    said::Said,
    structure::{Part, Structure},
    verb::Verb,
};

/// The category of a statement that is "cmi5 defined".
pub const CATEGORY: &str = "https://w3id.org/xapi/cmi5/context/categories/cmi5";
/// The category of a defined statement that gives a verdict.
pub const MOVE_ON_CATEGORY: &str = "https://w3id.org/xapi/cmi5/context/categories/moveon";
pub const SESSION: &str = "https://w3id.org/xapi/cmi5/context/extensions/sessionid";
pub const MOVE_ON: &str = "https://w3id.org/xapi/cmi5/context/extensions/moveon";
pub const MASTERY_SCORE: &str = "https://w3id.org/xapi/cmi5/context/extensions/masteryscore";
pub const REASON: &str = "https://w3id.org/xapi/cmi5/result/extensions/reason";
/// The state document in which the LMS tells a unit how it was launched.
pub const LAUNCH_DATA: &str = "LMS.LaunchData";
