//! The two sides of a contract.

/// On which side of the contract we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Others read what we write: we may promise more, never less.
    Produced,
    /// Others write what we read: we may ask for less, never more.
    Consumed,
}
