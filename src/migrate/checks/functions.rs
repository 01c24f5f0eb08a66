//! Can a function be made to run a stranger's code, or be called by a stranger? Pure.

use super::{Check, Status, some_of};
use crate::store::schema::checks::Function;

/// A session finds its own temporary tables and types before those of the system, so a function that does not say
/// otherwise takes them for the real ones; if it runs with its owner's rights, the session has those.
pub(super) fn functions(all: &[Function]) -> Check {
    let names = |which: fn(&&Function) -> bool| -> Vec<String> {
        all.iter().filter(which).map(|function| function.name.clone()).collect()
    };
    let unguarded = names(|function| !function.guarded);
    if !unguarded.is_empty() {
        let found = format!("temporary objects come before the system's own in {}", some_of(&unguarded));
        let todo = "ALTER FUNCTION … SET search_path = pg_catalog, pg_temp, and name everything else with its schema";
        return Check::of(Status::Fail, "functions", found, todo);
    }
    let open = names(|function| function.definer && function.public);
    if !open.is_empty() {
        let found = format!("anybody may call {}, with the owner's rights", some_of(&open));
        return Check::of(Status::Fail, "functions", found, "REVOKE ALL ON FUNCTION … FROM PUBLIC");
    }
    Check::pass("functions", format!("{} run no code but their own", all.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_guarded_and_a_powerful_one_is_closed() {
        let sound = Function { name: "a.f()".into(), definer: true, guarded: true, public: false };
        let status = |function: Function| functions(&[sound.clone(), function]).status;
        assert_eq!(status(sound.clone()), Status::Pass);
        assert_eq!(status(Function { definer: false, public: true, ..sound.clone() }), Status::Pass);
        assert_eq!(status(Function { public: true, ..sound.clone() }), Status::Fail);
        assert_eq!(status(Function { guarded: false, definer: false, ..sound.clone() }), Status::Fail);
    }
}
