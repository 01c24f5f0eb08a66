//! The kinds of documents.

/// The three resources that hold documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    State,
    ActivityProfile,
    AgentProfile,
}
