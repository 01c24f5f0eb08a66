//! The rules by example, and the properties that hold for all facts.

use proptest::{option, prelude::*, sample::select};

use super::*;
use crate::model::score::Score;

fn at(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_800_000_000_000_000 + micros).unwrap()
}

fn fact(n: u32, effect: Effect) -> Fact {
    Fact {
        statement: Uuid::from_u128(n.into()),
        stored: at(n.into()),
        occurred: at(i64::from(n) * 60_000_000),
        effect,
        success: None,
        score: None,
        seconds: None,
        voided: false,
        cmi5: None,
    }
}

fn with_success(n: u32, success: bool) -> Fact {
    Fact { success: Some(success), ..fact(n, Effect::Completed) }
}

fn outcome(facts: &[Fact]) -> Option<Outcome> {
    fold(facts, &[]).and_then(|attempt| attempt.closing).map(|closing| closing.outcome)
}

#[test]
fn each_verb_closes_by_its_rule() {
    use Effect::{Abandoned, Belongs, Completed, Failed, Passed, Terminated};
    let start = fact(1, Belongs);
    for (rest, expected) in [
        (vec![], None),
        (vec![fact(2, Passed)], Some(Outcome::Passed)),
        (vec![fact(2, Failed)], Some(Outcome::Failed)),
        (vec![fact(2, Abandoned)], Some(Outcome::Abandoned)),
        (vec![with_success(2, true)], Some(Outcome::Passed)),
        (vec![with_success(2, false)], Some(Outcome::Failed)),
        (vec![fact(2, Completed)], None),
        (vec![fact(2, Completed), fact(3, Passed)], Some(Outcome::Passed)),
        (vec![fact(2, Completed), fact(3, Failed)], Some(Outcome::Failed)),
        (vec![fact(2, Completed), fact(3, Terminated)], Some(Outcome::Incomplete)),
        (vec![fact(2, Terminated)], Some(Outcome::Incomplete)),
    ] {
        let facts = [vec![start.clone()], rest].concat();
        assert_eq!(outcome(&facts), expected, "{facts:?}");
    }
    assert_eq!(fold(&[], &[]), None);
}

#[test]
fn the_end_carries_time_score_and_evidence() {
    let mut facts = vec![fact(1, Effect::Belongs), fact(2, Effect::Completed), fact(5, Effect::Passed)];
    facts[1].score = Score::parse("0.75");
    let closing = fold(&facts, &[]).unwrap().closing.unwrap();
    assert_eq!((closing.ended_at, closing.seconds), (at(300_000_000), 240));
    assert_eq!(closing.score, Score::parse("0.75"), "said before the end");
    assert_eq!(closing.evidence, [Uuid::from_u128(2), Uuid::from_u128(5)]);
    facts[2].score = Score::parse("0.9");
    facts[2].seconds = Some(17);
    let closing = fold(&facts, &[]).unwrap().closing.unwrap();
    assert_eq!((closing.score, closing.seconds), (Score::parse("0.9"), 17), "its own go first");
}

#[test]
fn an_end_before_the_start_lasts_no_time() {
    let mut facts = [fact(9, Effect::Belongs), fact(10, Effect::Passed)];
    facts[1].occurred = at(0);
    assert_eq!(fold(&facts, &[]).unwrap().closing.unwrap().seconds, 0);
}

#[test]
fn a_closing_by_hand_takes_its_place_in_the_order() {
    let [start, passed] = [fact(1, Effect::Belongs), fact(5, Effect::Passed)];
    let outcome = |facts: &[Fact], by_hand| {
        fold(facts, std::slice::from_ref(&by_hand)).and_then(|attempt| attempt.closing).map(|closing| closing.outcome)
    };
    assert_eq!(outcome(std::slice::from_ref(&start), fact(3, Effect::Abandoned)), Some(Outcome::Abandoned));
    assert_eq!(outcome(&[start.clone(), passed.clone()], fact(3, Effect::Terminated)), Some(Outcome::Incomplete));
    assert_eq!(outcome(&[start.clone(), passed.clone()], fact(7, Effect::Failed)), Some(Outcome::Passed), "too late");
    let voided = [Fact { voided: true, ..start }];
    assert_eq!(fold(&voided, &[fact(3, Effect::Failed)]), None, "there is nothing to close");
}

#[test]
fn numbers_only_grow() {
    assert_eq!(number(None, 0), 1);
    assert_eq!(number(Some(4), 0), 4);
    assert_eq!(number(Some(4), 4), 5);
    assert_eq!(number(Some(2), 7), 8);
    assert_eq!(number(None, 7), 8);
}

/// Facts 1, 2, 3 … in the ledger's order, with any content.
fn facts() -> impl Strategy<Value = Vec<Fact>> {
    use Effect::{Abandoned, Belongs, Completed, Failed, Passed, Terminated};
    let effect = select(vec![Belongs, Belongs, Belongs, Completed, Completed, Passed, Failed, Terminated, Abandoned]);
    let score = option::of((0_i32..=10_000).prop_map(|value| Score::from_ten_thousandths(value).unwrap()));
    let content = (effect, option::of(any::<bool>()), score, 0_i64..1_000, option::of(0_i64..1_000), any::<bool>());
    prop::collection::vec(content, 0..12).prop_map(|all| {
        let one = |(n, (effect, success, score, occurred, seconds, voided))| Fact {
            success,
            score,
            occurred: at(occurred * 1_000_000),
            seconds,
            voided,
            ..fact(n, effect)
        };
        (1_u32..).zip(all).map(one).collect()
    })
}

proptest! {
    #[test]
    fn the_order_of_reading_makes_no_difference(facts in facts(), shuffled in any::<prop::sample::Index>()) {
        let mut turned = facts.clone();
        if !turned.is_empty() {
            let by = shuffled.index(turned.len());
            turned.rotate_left(by);
            turned.reverse();
        }
        prop_assert_eq!(fold(&turned, &[]), fold(&facts, &[]));
    }

    #[test]
    fn duplicates_change_nothing(facts in facts()) {
        let twice = [facts.clone(), facts.clone()].concat();
        prop_assert_eq!(fold(&twice, &[]), fold(&facts, &[]));
    }

    #[test]
    fn what_is_voided_has_never_been_there(facts in facts()) {
        let without: Vec<Fact> = facts.iter().filter(|fact| !fact.voided).cloned().collect();
        prop_assert_eq!(fold(&facts, &[]), fold(&without, &[]));
    }

    #[test]
    fn late_statements_change_nothing(facts in facts(), late in facts()) {
        prop_assume!(fold(&facts, &[]).is_some_and(|attempt| attempt.closing.is_some()));
        let renumber = |fact: Fact| Fact {
            statement: Uuid::from_u128(fact.statement.as_u128() + 100),
            stored: fact.stored + chrono::TimeDelta::seconds(1),
            ..fact
        };
        let with_late = [facts.clone(), late.into_iter().map(renumber).collect()].concat();
        prop_assert_eq!(fold(&with_late, &[]), fold(&facts, &[]));
    }

    /// What decides nothing may arrive in any order before the end.
    #[test]
    fn undecided_facts_may_change_places(facts in facts()) {
        let facts: Vec<Fact> = facts.into_iter().filter(|fact| !fact.voided).collect();
        let end = facts.iter().position(|fact| verdict(fact).is_some()).unwrap_or(facts.len());
        let mut swapped = facts.clone();
        let places: Vec<_> = facts[..end].iter().map(|fact| fact.stored).collect();
        for (fact, place) in swapped[..end].iter_mut().zip(places.iter().rev()) {
            fact.stored = *place;
        }
        prop_assert_eq!(fold(&swapped, &[]), fold(&facts, &[]));
    }

    #[test]
    fn an_attempt_exists_and_ends_exactly_when_its_facts_say_so(facts in facts()) {
        let standing: Vec<&Fact> = facts.iter().filter(|fact| !fact.voided).collect();
        let attempt = fold(&facts, &[]);
        prop_assert_eq!(attempt.is_some(), !standing.is_empty());
        let closing = attempt.and_then(|attempt| attempt.closing);
        prop_assert_eq!(closing.is_some(), standing.iter().any(|fact| verdict(fact).is_some()));
        if let Some(closing) = closing {
            prop_assert!(closing.seconds >= 0);
            prop_assert!(!closing.evidence.is_empty());
        }
    }
}
