//! What becomes of a move next: from what somebody asked for, the state of the move, and where the tenant stands in both cells.
//! Pure. Each step is one transaction in one cell, or work that may be repeated; whoever is cut off in between asks again.

use crate::model::residence::{MoveState, Standing};

/// What somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Act {
    /// Copy, catch up, and compare, while the tenant works.
    Start,
    /// Freeze, bring the rest, compare, and let the other cell open.
    Switch,
    /// The same the other way, with what the other cell took meanwhile.
    Reverse,
    /// Remove what is left here.
    Purge,
    /// Leave everything as it was, and remove what went over.
    Cancel,
}

impl Act {
    pub const ALL: [Self; 5] = [Self::Start, Self::Switch, Self::Reverse, Self::Purge, Self::Cancel];

    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Switch => "switch",
            Self::Reverse => "reverse",
            Self::Purge => "purge",
            Self::Cancel => "cancel",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// The states in which it can be asked for, or gone on with.
    pub fn from(self) -> &'static [MoveState] {
        use MoveState as S;
        match self {
            Self::Start => &[S::Planned, S::Copying, S::Verified],
            Self::Switch => &[S::Verified, S::Frozen, S::Switching],
            Self::Reverse => &[S::Switched, S::Returning, S::Reopening],
            Self::Purge => &[S::Purging],
            Self::Cancel => &[S::Planned, S::Copying, S::Verified, S::Frozen],
        }
    }

    /// `Err` where an act is for moves that stand otherwise.
    pub fn is_for(self, state: MoveState) -> Result<(), String> {
        if self.from().contains(&state) {
            return Ok(());
        }
        let from: Vec<&str> = self.from().iter().map(|state| state.name()).collect();
        Err(format!("{} is for a move that is {}, and this one is {}", self.name(), from.join(" or "), state.name()))
    }

    /// The state in which there is nothing more to do for it.
    pub fn end(self) -> MoveState {
        match self {
            Self::Start => MoveState::Verified,
            Self::Switch => MoveState::Switched,
            Self::Reverse => MoveState::Returned,
            Self::Purge => MoveState::Purged,
            Self::Cancel => MoveState::Cancelled,
        }
    }
}

/// What is known before a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Facts {
    pub state: MoveState,
    /// Where the tenant stands in the cell it leaves, and in the one it goes to.
    pub here: Standing,
    pub there: Standing,
    /// What the last step found of the two: the same, or not. `None`: nobody has looked since the last change.
    pub same: Option<bool>,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// There: the tenant arrives, and nobody serves it.
    Arrive,
    /// Here: the move copies.
    Copying,
    /// Bring what is not there yet, and compare. It may be repeated.
    Bring,
    /// Here: what is there is the same.
    Verified,
    /// Here: the tenant is frozen, in the transaction in which the move is.
    Freeze,
    /// Wait for who was writing, bring the rest, compare. It may be repeated.
    BringRest,
    /// Here: served again, because the two are not the same.
    Thaw,
    /// Here: away, in the transaction in which the move switches.
    Leave,
    /// There: served.
    Open,
    /// Here: the move has switched.
    Switched,
    /// Here: the tenant arrives again.
    Return,
    /// Bring back what there is more, while the other cell serves.
    BringBack,
    /// There: frozen.
    FreezeThere,
    /// Wait for who was writing there, bring the rest back, compare.
    BringBackRest,
    /// There: served again, because the two are not the same.
    ThawThere,
    /// Here: away as before; the way back was given up.
    GiveUp,
    /// Here: the move reopens.
    Reopening,
    /// There: away.
    LeaveThere,
    /// Here: served, in the transaction in which the move has returned.
    Reopen,
    /// There: remove what went over.
    ClearThere,
    /// Here: served, in the transaction in which the move is cancelled.
    Cancelled,
    /// Remove what is left here.
    Clear,
    /// Here: nothing is left.
    Purged,
    /// There is nothing more to do.
    Nothing,
}

impl Step {
    /// What is said of it while it is done.
    pub fn words(self) -> &'static str {
        match self {
            Self::Arrive | Self::Copying => "beginning",
            Self::Bring => "copying and comparing",
            Self::Verified => "both cells are the same",
            Self::Freeze | Self::FreezeThere => "bringing what came meanwhile, then freezing",
            Self::BringRest | Self::BringBackRest => "frozen: bringing the rest and comparing",
            Self::Thaw | Self::ThawThere | Self::GiveUp => "giving it up: served again",
            Self::Leave | Self::LeaveThere | Self::Reopening => "leaving",
            Self::Open | Self::Reopen => "opening",
            Self::Return | Self::BringBack => "bringing back what came there",
            Self::ClearThere | Self::Clear => "removing",
            Self::Switched | Self::Cancelled | Self::Purged | Self::Nothing => "ending",
        }
    }
}

/// The next step of an act; `Err` where it cannot be done as things stand.
pub fn next(act: Act, facts: &Facts) -> Result<Step, String> {
    use MoveState as S;
    use Standing::{Arriving, Away, Frozen, Home};
    let Facts { state, here, there, same } = *facts;
    if state == act.end() && act != Act::Start {
        return Ok(Step::Nothing);
    }
    act.is_for(state)?;
    let step = match (act, state, here, there) {
        (Act::Start, S::Planned | S::Copying | S::Verified, Home, Home | Away) => Step::Arrive,
        (Act::Start, S::Verified, Home, Arriving) if same == Some(true) => Step::Nothing,
        (Act::Start, S::Planned | S::Verified, Home, Arriving) => Step::Copying,
        (Act::Start, S::Copying, Home, Arriving) => match same {
            Some(true) => Step::Verified,
            _ => Step::Bring,
        },
        (Act::Switch, S::Verified, Home, Arriving) if same == Some(false) => Step::Copying,
        (Act::Switch, S::Verified, Home, Arriving) => Step::Freeze,
        (Act::Switch, S::Frozen, Frozen, Arriving) => match same {
            None => Step::BringRest,
            Some(true) => Step::Leave,
            Some(false) => Step::Thaw,
        },
        (Act::Switch, S::Switching, Away, Arriving) => Step::Open,
        (Act::Switch, S::Switching, Away, Home) => Step::Switched,
        (Act::Reverse, S::Switched, Away, Home) if same == Some(false) => {
            return Err("the way back was given up, because the two cells are not the same".to_owned());
        }
        (Act::Reverse, S::Switched, Away, Home) => Step::Return,
        (Act::Reverse, S::Returning, Arriving, Home) => match same {
            None => Step::BringBack,
            Some(true) => Step::FreezeThere,
            Some(false) => Step::GiveUp,
        },
        (Act::Reverse, S::Returning, Arriving, Frozen) => match same {
            None => Step::BringBackRest,
            Some(true) => Step::Reopening,
            Some(false) => Step::ThawThere,
        },
        (Act::Reverse, S::Reopening, Arriving, Frozen) => Step::LeaveThere,
        (Act::Reverse, S::Reopening, Arriving, Away) => Step::Reopen,
        (Act::Cancel, _, Home | Frozen, Arriving) => Step::ClearThere,
        (Act::Cancel, _, Home | Frozen, Home | Away) => Step::Cancelled,
        (Act::Purge, S::Purging, Away, Home) => match same {
            Some(true) => Step::Purged,
            _ => Step::Clear,
        },
        _ => {
            return Err(format!(
                "the move is {}, and the tenant stands {} here and {} there: somebody has changed one by hand",
                state.name(),
                here.name(),
                there.name()
            ));
        }
    };
    Ok(step)
}
