//! cmi5's tables by example, and every short course of events against a reading of the specification of its own.

use chrono::{DateTime, Utc};

use super::*;
use crate::{
    model::attempt::{Attempt, Cmi5},
    projections::fold::fold,
};

const UNIT: u128 = 500;

fn at(n: u32) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + i64::from(n) * 60, 0).unwrap()
}

/// The `n`th statement of a registration, about a unit and in a session.
fn said(n: u32, effect: Effect, unit: u128, session: &str) -> Fact {
    Fact {
        statement: Uuid::from_u128(n.into()),
        stored: at(n),
        occurred: at(n),
        effect,
        success: None,
        score: None,
        seconds: None,
        voided: false,
        cmi5: Some(Cmi5 { unit: Some(Uuid::from_u128(unit)), session: Some(session.to_owned()), move_on: None }),
    }
}

fn launched(n: u32, unit: u128, session: &str, move_on: MoveOn) -> Fact {
    let mut fact = said(n, Effect::Launched, unit, session);
    fact.cmi5.as_mut().unwrap().move_on = Some(move_on);
    fact
}

/// The LMS's word about the course.
fn satisfied(n: u32) -> Fact {
    Fact { cmi5: Some(Cmi5::default()), ..said(n, Effect::Satisfied, UNIT, "lms") }
}

fn silent(n: u32, last_word: u32) -> Fact {
    Fact { occurred: at(last_word), cmi5: None, ..said(n, Effect::Silent, UNIT, "") }
}

fn lasting(fact: Fact, seconds: i64) -> Fact {
    Fact { seconds: Some(seconds), ..fact }
}

fn outcome(facts: &[Fact], of_service: &[Fact]) -> Option<Outcome> {
    fold(facts, of_service).unwrap().closing.map(|closing| closing.outcome)
}

fn unit(facts: &[Fact]) -> Unit {
    units(&facts.iter().collect::<Vec<_>>()).remove(0)
}

#[test]
fn a_second_session_may_pass_what_the_first_did_not() {
    use Effect::{Abandoned, Failed, Passed, Terminated};
    let first = |verbs: &[Effect]| -> Vec<Fact> {
        let mut facts = vec![launched(1, UNIT, "one", MoveOn::Passed)];
        facts.extend((2..).zip(verbs).map(|(n, verb)| said(n, *verb, UNIT, "one")));
        facts
    };
    for verbs in [&[Terminated][..], &[Failed], &[Failed, Terminated], &[Abandoned], &[]] {
        let mut facts = first(verbs);
        assert_eq!(outcome(&facts, &[]), None, "{verbs:?} ends a session and not the attempt");
        facts.extend([launched(10, UNIT, "two", MoveOn::Passed), said(11, Passed, UNIT, "two")]);
        assert_eq!((unit(&facts).state(), unit(&facts).sessions), (UnitState::Passed, 2), "{verbs:?}");
        assert_eq!(outcome(&facts, &[]), None, "the LMS has not said so yet");
        facts.push(satisfied(12));
        assert_eq!(outcome(&facts, &[]), Some(Outcome::Passed), "{verbs:?}");
    }
}

#[test]
fn what_the_lms_calls_satisfied_is_passed_also_without_a_verdict() {
    let completed = [
        launched(1, UNIT, "one", MoveOn::Completed),
        said(2, Effect::Completed, UNIT, "one"),
        said(3, Effect::Terminated, UNIT, "one"),
        satisfied(4),
    ];
    assert_eq!(outcome(&completed, &[]), Some(Outcome::Passed));
    let waived = [said(1, Effect::Waived, UNIT, "waiver"), satisfied(2)];
    let closing = fold(&waived, &[]).unwrap().closing.unwrap();
    assert_eq!((closing.outcome, closing.score), (Outcome::Passed, None));
    assert_eq!(closing.evidence, [1, 2].map(Uuid::from_u128));
    assert_eq!((unit(&waived).state(), unit(&waived).sessions), (UnitState::Waived, 0));
}

#[test]
fn one_unit_of_several_is_not_the_course() {
    let launches = [1_u32, 2, 3].map(|n| launched(n, UNIT + u128::from(n), "one", MoveOn::Passed));
    let facts = [launches.to_vec(), vec![said(4, Effect::Passed, UNIT + 1, "one")]].concat();
    assert_eq!(outcome(&facts, &[]), None);
    assert_eq!(outcome(&facts, &[silent(9, 4)]), Some(Outcome::Incomplete), "nobody knows whether these were all");
    let states = units(&facts.iter().collect::<Vec<_>>()).iter().map(Unit::state).collect::<Vec<_>>();
    assert_eq!(states, [UnitState::Passed, UnitState::InProgress, UnitState::InProgress]);
}

#[test]
fn a_silence_closes_by_what_was_said_before_it() {
    let begun = [launched(1, UNIT, "one", MoveOn::CompletedOrPassed)];
    let with = |effect| [begun.to_vec(), vec![said(2, effect, UNIT, "one")]].concat();
    for (effect, expected) in [
        (Effect::Passed, Outcome::Passed),
        (Effect::Completed, Outcome::Passed),
        (Effect::Abandoned, Outcome::Abandoned),
        (Effect::Terminated, Outcome::Incomplete),
        (Effect::Failed, Outcome::Incomplete),
    ] {
        assert_eq!(outcome(&with(effect), &[silent(5, 2)]), Some(expected), "{effect:?}");
    }
    let closing = fold(&with(Effect::Terminated), &[silent(5, 2)]).unwrap().closing.unwrap();
    assert_eq!((closing.ended_at, closing.decided_by), (at(2), Uuid::from_u128(2)), "by the last word");
    let again = [with(Effect::Terminated), vec![launched(4, UNIT, "two", MoveOn::Passed)]].concat();
    assert_eq!(outcome(&again, &[silent(5, 2)]), None, "somebody spoke meanwhile");
    assert_eq!(outcome(&again, &[silent(5, 2), silent(9, 4)]), Some(Outcome::Incomplete), "and then no more");
}

#[test]
fn time_is_the_sum_of_the_sessions() {
    let closed = |facts: Vec<Fact>| -> Attempt { fold(&[facts, vec![satisfied(30)]].concat(), &[]).unwrap() };
    let seconds = |facts: Vec<Fact>| closed(facts).closing.unwrap().seconds;
    let one = || {
        vec![
            launched(1, UNIT, "one", MoveOn::Passed),
            lasting(said(2, Effect::Completed, UNIT, "one"), 100),
            lasting(said(3, Effect::Passed, UNIT, "one"), 120),
        ]
    };
    assert_eq!(seconds(one()), 120, "while its end is not known, the most that was said");
    let ended = || [one(), vec![lasting(said(4, Effect::Terminated, UNIT, "one"), 90)]].concat();
    assert_eq!(seconds(ended()), 90, "its end knows");
    let two = [ended(), vec![lasting(said(10, Effect::Abandoned, UNIT, "two"), 11)]].concat();
    assert_eq!(seconds(two), 101);
    assert_eq!(seconds(vec![launched(1, UNIT, "one", MoveOn::Passed)]), 29 * 60, "nobody says anything");
    let mut question = lasting(said(5, Effect::Belongs, UNIT, "one"), 1_000);
    question.cmi5.as_mut().unwrap().unit = None;
    assert_eq!(seconds([one(), vec![question]].concat()), 120, "a question's time is a part of it");
}

#[test]
fn the_score_is_that_of_the_only_unit_with_a_verdict() {
    let scored = |n, effect, unit, score| Fact { score: Score::parse(score), ..said(n, effect, unit, "one") };
    let score = |facts: &[Fact]| fold(&[facts, &[satisfied(30)]].concat(), &[]).unwrap().closing.unwrap().score;
    let failed = scored(1, Effect::Failed, UNIT, "0.3");
    let passed = scored(2, Effect::Passed, UNIT, "0.9");
    assert_eq!(score(std::slice::from_ref(&failed)), Score::parse("0.3"));
    assert_eq!(score(&[failed.clone(), passed.clone()]), Score::parse("0.9"));
    assert_eq!(
        score(&[passed.clone(), scored(3, Effect::Failed, UNIT, "0.1")]),
        Score::parse("0.9"),
        "it stays passed"
    );
    let unscored = [failed, said(2, Effect::Passed, UNIT, "one")];
    assert_eq!(score(&unscored), None, "a failure's score is not a pass's");
    assert_eq!(score(&[passed, scored(3, Effect::Passed, UNIT + 1, "0.5")]), None, "cmi5 makes no one score of two");
}

#[test]
fn what_an_administrator_closes_is_closed() {
    let by_hand = Fact { cmi5: None, ..said(5, Effect::Failed, UNIT, "") };
    let facts = [launched(1, UNIT, "one", MoveOn::Passed), lasting(said(2, Effect::Terminated, UNIT, "one"), 40)];
    let closing = fold(&facts, std::slice::from_ref(&by_hand)).unwrap().closing.unwrap();
    assert_eq!((closing.outcome, closing.seconds), (Outcome::Failed, 40));
    let late = [facts.to_vec(), vec![satisfied(9)]].concat();
    assert_eq!(outcome(&late, &[by_hand]), Some(Outcome::Failed), "the LMS is late");
}

/// The specification's own words (10.2.4 "moveOn"): what must have been said, of any session, in any order.
fn asked_for(move_on: MoveOn) -> &'static [&'static [Effect]] {
    const PASSED: &[Effect] = &[Effect::Passed];
    const COMPLETED: &[Effect] = &[Effect::Completed];
    const EITHER: &[Effect] = &[Effect::Passed, Effect::Completed];
    match move_on {
        MoveOn::Passed => &[PASSED],
        MoveOn::Completed => &[COMPLETED],
        MoveOn::CompletedAndPassed => &[PASSED, COMPLETED],
        MoveOn::CompletedOrPassed => &[EITHER],
        MoveOn::NotApplicable => &[],
    }
}

/// Every sequence of up to three verbs, each in the first or the second session, for every `moveOn`.
#[test]
fn every_short_course_of_events_is_satisfied_as_the_tables_say() {
    const VERBS: [Effect; 6] =
        [Effect::Passed, Effect::Failed, Effect::Completed, Effect::Terminated, Effect::Abandoned, Effect::Waived];
    let choices: Vec<(Effect, &str)> = VERBS.iter().flat_map(|verb| [(*verb, "one"), (*verb, "two")]).collect();
    let mut courses: Vec<Vec<(Effect, &str)>> = vec![Vec::new()];
    let mut longest = courses.clone();
    for _ in 0..3 {
        longest = longest
            .iter()
            .flat_map(|course| choices.iter().map(|next| [course.as_slice(), &[*next]].concat()))
            .collect();
        courses.extend(longest.clone());
    }
    for move_on in MoveOn::ALL {
        for course in &courses {
            let mut facts = vec![launched(1, UNIT, "one", move_on), launched(2, UNIT, "two", move_on)];
            facts.extend((3..).zip(course).map(|(n, (verb, session))| said(n, *verb, UNIT, session)));
            let has = |wanted: &Effect| course.iter().any(|(verb, _)| verb == wanted);
            let expected = has(&Effect::Waived) || asked_for(move_on).iter().all(|any| any.iter().any(has));
            assert_eq!(unit(&facts).is_satisfied(), expected, "{move_on:?} {course:?}");
            assert_eq!(outcome(&facts, &[]), None, "no verb of a unit closes the course: {move_on:?} {course:?}");
            let last = facts.len() as u32;
            facts.push(satisfied(last + 1));
            assert_eq!(outcome(&facts, &[]), Some(Outcome::Passed), "{move_on:?} {course:?}");
        }
    }
}
