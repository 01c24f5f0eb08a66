//! Which blocks and courses are satisfied, and by what.

use super::*;

fn unit(id: &str, move_on: MoveOn) -> Part {
    Part::Unit { id: id.to_owned(), title: String::new(), move_on: move_on.as_str().to_owned() }
}

fn block(id: &str, parts: Vec<Part>) -> Part {
    Part::Block { id: id.to_owned(), title: String::new(), parts }
}

/// A unit with these publisher's ids, of which was said: `c` completed, `p` passed, `w` waived.
fn said(id: &str, what: &str, move_on: Option<MoveOn>) -> Spoken {
    let has = |letter: char, n: u128| what.contains(letter).then(|| Uuid::from_u128(n));
    let unit = Unit {
        key: Uuid::nil(),
        move_on,
        completed: has('c', 1),
        passed: has('p', 2),
        waived: has('w', 3),
        is_failed: false,
        score: None,
        sessions: 1,
    };
    Spoken { unit, groups: vec!["https://x.example/course".to_owned(), id.to_owned()] }
}

fn satisfied(parts: &[Part], spoken: &[Spoken]) -> (Vec<String>, bool) {
    let mut found = Vec::new();
    blocks(parts, spoken, &mut found);
    (found.iter().map(|one| one.id.to_owned()).collect(), all(parts, spoken).is_some())
}

#[test]
fn a_block_is_satisfied_with_all_that_is_in_it_and_the_course_with_all() {
    use MoveOn::{Completed, NotApplicable, Passed};
    let course = [
        block("outer", vec![unit("a", Passed), block("inner", vec![unit("b", Completed), unit("c", NotApplicable)])]),
        unit("d", Passed),
    ];
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    for (spoken, expected) in [
        (vec![], (names(&[]), false)),
        (vec![said("b", "c", None)], (names(&["inner"]), false)),
        (vec![said("a", "p", None)], (names(&[]), false)),
        (vec![said("a", "p", None), said("b", "c", None)], (names(&["inner", "outer"]), false)),
        (vec![said("a", "p", None), said("b", "c", None), said("d", "c", None)], (names(&["inner", "outer"]), false)),
        (vec![said("a", "w", None), said("b", "c", None), said("d", "p", None)], (names(&["inner", "outer"]), true)),
    ] {
        assert_eq!(satisfied(&course, &spoken), expected);
    }
}

#[test]
fn what_the_launch_asks_for_goes_before_the_structure() {
    let course = [unit("a", MoveOn::Passed)];
    assert!(!satisfied(&course, &[said("a", "c", None)]).1);
    assert!(satisfied(&course, &[said("a", "c", Some(MoveOn::Completed))]).1);
    assert!(!satisfied(&course, &[said("a", "p", Some(MoveOn::CompletedAndPassed))]).1);
    assert!(satisfied(&[unit("a", MoveOn::NotApplicable)], &[]).1, "nobody has to launch it");
    assert!(!satisfied(&[unit("a", MoveOn::NotApplicable)], &[said("a", "", Some(MoveOn::Passed))]).1);
}

#[test]
fn the_proof_is_what_satisfied_the_units() {
    let course = [unit("a", MoveOn::Passed), unit("b", MoveOn::Completed)];
    let spoken = [said("a", "cp", None), said("b", "c", None)];
    assert_eq!(all(&course, &spoken), Some([1, 2, 1].map(Uuid::from_u128).to_vec()));
}
