//! A job's life: the states it can be in, and what may be asked of it in each. Pure.

/// Where a job is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Waits for a node that does its kind.
    Queued,
    Running,
    /// Somebody asked for a pause; the step that runs ends first.
    Pausing,
    Paused,
    /// Somebody wants it to end; the step that runs ends first.
    Cancelling,
    Cancelled,
    Succeeded,
    Failed,
}

/// What a person may ask of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Pause,
    Resume,
    Cancel,
    /// Once more after it failed or was cancelled, from its last checkpoint.
    Retry,
}

/// What comes of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Done,
    /// It is so already, or will be.
    Already,
    Refused,
}

impl State {
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Running,
        Self::Pausing,
        Self::Paused,
        Self::Cancelling,
        Self::Cancelled,
        Self::Succeeded,
        Self::Failed,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing more comes of it by itself.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Cancelled | Self::Succeeded | Self::Failed)
    }

    /// Whether a node has it, or should.
    pub fn is_underway(self) -> bool {
        matches!(self, Self::Running | Self::Pausing | Self::Cancelling)
    }

    pub fn on(self, act: Act) -> Verdict {
        use State::{Cancelled, Cancelling, Failed, Paused, Pausing, Queued, Running};
        match (act, self) {
            (Act::Pause, Queued | Running)
            | (Act::Resume, Paused | Pausing)
            | (Act::Cancel, Queued | Running | Pausing | Paused)
            | (Act::Retry, Failed | Cancelled) => Verdict::Done,
            (Act::Pause, Paused | Pausing)
            | (Act::Resume, Queued | Running)
            | (Act::Cancel, Cancelled | Cancelling)
            | (Act::Retry, Queued) => Verdict::Already,
            _ => Verdict::Refused,
        }
    }
}

impl Act {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::Retry => "retry",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_known_by_its_name() {
        for state in State::ALL {
            assert_eq!(State::parse(state.name()), Some(state));
        }
        assert_eq!(State::parse("ajar"), None);
    }

    #[test]
    fn what_may_be_asked_when() {
        let done = |act: Act| State::ALL.into_iter().filter(|state| state.on(act) == Verdict::Done).collect::<Vec<_>>();
        assert_eq!(done(Act::Pause), [State::Queued, State::Running]);
        assert_eq!(done(Act::Resume), [State::Pausing, State::Paused]);
        assert_eq!(done(Act::Cancel), [State::Queued, State::Running, State::Pausing, State::Paused]);
        assert_eq!(done(Act::Retry), [State::Cancelled, State::Failed]);
        for act in [Act::Pause, Act::Resume, Act::Cancel, Act::Retry] {
            assert_eq!(State::Succeeded.on(act), Verdict::Refused, "{}", act.name());
        }
        assert_eq!(State::Cancelling.on(Act::Pause), Verdict::Refused, "a cancelled job is not kept by a pause");
        assert_eq!(State::Paused.on(Act::Pause), Verdict::Already);
    }
}
