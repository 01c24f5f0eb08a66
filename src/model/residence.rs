//! Where a tenant stands in a cell. Pure.

/// How a cell treats a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Standing {
    /// It is served.
    Home,
    /// It is read and not written, for a moment.
    Frozen,
    /// Another cell serves it.
    Away,
    /// It is being brought here, and served nowhere in this cell.
    Arriving,
}

impl Standing {
    pub const ALL: [Self; 4] = [Self::Home, Self::Frozen, Self::Away, Self::Arriving];

    pub fn name(self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::Frozen => "frozen",
            Self::Away => "away",
            Self::Arriving => "arriving",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

/// How far a move is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MoveState {
    Planned,
    /// Rows go over while the tenant works.
    Copying,
    /// What went over is the same on both sides, as of the proof.
    Verified,
    /// The tenant's writers wait.
    Frozen,
    /// It is away, and the other cell has not opened yet. There is no way but on.
    Switching,
    Switched,
    /// What the other cell took meanwhile comes back.
    Returning,
    /// It is away from the other cell, and this one has not opened yet.
    Reopening,
    Returned,
    Purging,
    Purged,
    Cancelled,
}

impl MoveState {
    pub const ALL: [Self; 12] = [
        Self::Planned,
        Self::Copying,
        Self::Verified,
        Self::Frozen,
        Self::Switching,
        Self::Switched,
        Self::Returning,
        Self::Reopening,
        Self::Returned,
        Self::Purging,
        Self::Purged,
        Self::Cancelled,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Copying => "copying",
            Self::Verified => "verified",
            Self::Frozen => "frozen",
            Self::Switching => "switching",
            Self::Switched => "switched",
            Self::Returning => "returning",
            Self::Reopening => "reopening",
            Self::Returned => "returned",
            Self::Purging => "purging",
            Self::Purged => "purged",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// Whether nothing more becomes of it.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Returned | Self::Purged | Self::Cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again() {
        assert!(Standing::ALL.into_iter().all(|one| Standing::named(one.name()) == Some(one)));
        assert!(MoveState::ALL.into_iter().all(|one| MoveState::named(one.name()) == Some(one)));
        assert_eq!((Standing::named("Home"), MoveState::named("")), (None, None));
    }
}
