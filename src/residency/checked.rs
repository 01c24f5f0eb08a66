//! Every way that a move can take, walked by a model checker over the very `plan::next` that the service asks: whoever is cut off, and
//! wherever, two cells never serve the tenant, nothing that was acknowledged is missing where it is served, and there is a way on.

use std::collections::{HashMap, HashSet, VecDeque};

use stateright::{Checker, Model, Property, StateRecorder};

use super::plan::{Act, Facts, Step, next};
use crate::model::residence::{MoveState, Standing};

/// Writes in a story at most: one before, one meanwhile, one after.
const WRITES: u8 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Side {
    Here,
    There,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Story {
    state: MoveState,
    here: Standing,
    there: Standing,
    /// What the job that is at work does, and what it found last. It is forgotten when the job is cut off.
    act: Option<Act>,
    same: Option<bool>,
    /// Statements in each cell. They are only added, so how many says which.
    rows_here: u8,
    rows_there: u8,
    acknowledged: u8,
    /// A write that was let in and has not committed: a node may sleep in the middle of it for as long as it likes.
    pending: Option<Side>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Event {
    Ask(Act),
    Approve,
    /// The next step of the job comes to its end; of work that compares, whether it found the two the same.
    Step(bool),
    Cut,
    BeginWrite(Side),
    EndWrite,
}

struct Moving;

impl Story {
    fn facts(&self) -> Facts {
        Facts { state: self.state, here: self.here, there: self.there, same: self.same }
    }

    fn standing(&self, side: Side) -> Standing {
        match side {
            Side::Here => self.here,
            Side::There => self.there,
        }
    }

    fn rows(&mut self, side: Side) -> &mut u8 {
        match side {
            Side::Here => &mut self.rows_here,
            Side::There => &mut self.rows_there,
        }
    }

    /// Brings what there is: all of it where nobody is in the middle of writing, for they are waited for.
    fn bring(&mut self, from: Side, must_wait: bool, finds: bool) {
        if must_wait && self.pending == Some(from) || !finds {
            self.same = Some(false);
            return;
        }
        match from {
            Side::Here => self.rows_there = self.rows_here,
            Side::There => self.rows_here = self.rows_there,
        }
        self.same = Some(true);
    }

    fn take(&mut self, step: Step, finds: bool) {
        use MoveState as S;
        use Standing::{Arriving, Away, Frozen, Home};
        match step {
            Step::Nothing => self.act = None,
            Step::Arrive => self.there = Arriving,
            Step::Copying => self.state = S::Copying,
            Step::Bring => {
                self.bring(Side::Here, false, finds);
                if self.same == Some(false) {
                    // The job gives up; whoever asked sees why.
                    (self.act, self.same) = (None, None);
                }
            }
            Step::Verified => self.state = S::Verified,
            Step::Freeze => (self.here, self.state, self.same) = (Frozen, S::Frozen, None),
            Step::BringRest => self.bring(Side::Here, true, finds),
            Step::Thaw => (self.here, self.state) = (Home, S::Copying),
            Step::Leave => (self.here, self.state) = (Away, S::Switching),
            Step::Open => self.there = Home,
            Step::Switched => self.state = S::Switched,
            Step::Return => (self.here, self.state, self.same) = (Arriving, S::Returning, None),
            Step::BringBack => self.bring(Side::There, false, finds),
            Step::FreezeThere => (self.there, self.same) = (Frozen, None),
            Step::BringBackRest => self.bring(Side::There, true, finds),
            Step::ThawThere => self.there = Home,
            Step::GiveUp => (self.here, self.state) = (Away, S::Switched),
            Step::Reopening => self.state = S::Reopening,
            Step::LeaveThere => self.there = Away,
            Step::Reopen => (self.here, self.state) = (Home, S::Returned),
            Step::ClearThere => (self.there, self.rows_there) = (Away, 0),
            Step::Cancelled => (self.here, self.state) = (Home, S::Cancelled),
            Step::Clear => (self.rows_here, self.same) = (0, Some(true)),
            Step::Purged => self.state = S::Purged,
        }
    }
}

impl Model for Moving {
    type State = Story;
    type Action = Event;

    fn init_states(&self) -> Vec<Story> {
        vec![Story {
            state: MoveState::Planned,
            here: Standing::Home,
            there: Standing::Home,
            act: None,
            same: None,
            rows_here: 0,
            rows_there: 0,
            acknowledged: 0,
            pending: None,
        }]
    }

    fn actions(&self, story: &Story, events: &mut Vec<Event>) {
        match story.act {
            None => {
                events.extend(Act::ALL.into_iter().filter(|act| act.from().contains(&story.state)).map(Event::Ask));
                if story.state == MoveState::Switched {
                    events.push(Event::Approve);
                }
            }
            Some(_) => events.extend([Event::Step(true), Event::Step(false), Event::Cut]),
        }
        if story.pending.is_some() {
            events.push(Event::EndWrite);
        } else if story.acknowledged < WRITES {
            // The other cell knows nothing of the tenant before it arrives there.
            let is_known = |side| side == Side::Here || story.there != Standing::Home || story.here == Standing::Away;
            let open = [Side::Here, Side::There].into_iter();
            events.extend(
                open.filter(|side| is_known(*side) && story.standing(*side) == Standing::Home).map(Event::BeginWrite),
            );
        }
    }

    fn next_state(&self, story: &Story, event: Event) -> Option<Story> {
        let mut then = story.clone();
        match event {
            Event::Ask(act) => (then.act, then.same) = (Some(act), None),
            Event::Approve => then.state = MoveState::Purging,
            Event::Cut => (then.act, then.same) = (None, None),
            Event::BeginWrite(side) => then.pending = Some(side),
            Event::EndWrite => {
                *then.rows(story.pending?) += 1;
                (then.acknowledged, then.pending) = (story.acknowledged + 1, None);
            }
            Event::Step(finds) => match next(story.act?, &story.facts()) {
                Ok(step) => then.take(step, finds),
                // It gives up: whoever asked sees why.
                Err(_) => (then.act, then.same) = (None, None),
            },
        }
        Some(then)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("two cells never serve it", |_, story: &Story| {
                let begun = story.there != Standing::Home || story.here == Standing::Away;
                !(begun && story.here == Standing::Home && story.there == Standing::Home)
            }),
            Property::always("what is acknowledged is there where it is served", |_, story: &Story| {
                let here = story.here != Standing::Home || story.rows_here >= story.acknowledged;
                let serves_there = story.there == Standing::Home && story.here != Standing::Home;
                here && (!serves_there || story.rows_there >= story.acknowledged)
            }),
            Property::always("nothing is written into a cell that has left", |_, story: &Story| {
                let left = |side| story.standing(side) == Standing::Away;
                !story.pending.is_some_and(left)
            }),
            Property::sometimes("it moves with what was written meanwhile", |_, story: &Story| {
                story.state == MoveState::Switched && story.rows_there == WRITES
            }),
            Property::sometimes("it comes back with what was written there", |_, story: &Story| {
                story.state == MoveState::Returned && story.rows_here == WRITES
            }),
            Property::sometimes("it is gone here", |_, story: &Story| story.state == MoveState::Purged),
        ]
    }
}

#[test]
fn no_way_leads_to_two_writers_or_to_a_loss() {
    Moving.checker().spawn_bfs().join().assert_properties();
}

#[test]
fn from_everywhere_there_is_a_way_to_an_end() {
    let (recorder, seen) = StateRecorder::new_with_accessor();
    Moving.checker().visitor(recorder).spawn_bfs().join();
    let stories: HashSet<Story> = seen().into_iter().collect();
    let mut before: HashMap<Story, Vec<Story>> = HashMap::new();
    for story in &stories {
        let mut events = Vec::new();
        Moving.actions(story, &mut events);
        for then in events.into_iter().filter_map(|event| Moving.next_state(story, event)) {
            before.entry(then).or_default().push(story.clone());
        }
    }
    let mut ends: VecDeque<Story> = stories.iter().filter(|story| story.state.is_over()).cloned().collect();
    let mut lead: HashSet<Story> = ends.iter().cloned().collect();
    while let Some(end) = ends.pop_front() {
        for earlier in before.remove(&end).unwrap_or_default() {
            if lead.insert(earlier.clone()) {
                ends.push_back(earlier);
            }
        }
    }
    let stuck = stories.difference(&lead).next();
    assert_eq!((stuck, stories.len() > 500), (None, true), "of {}", stories.len());
}
