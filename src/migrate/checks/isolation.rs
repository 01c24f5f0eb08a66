//! Does one tenant reach another's rows? Judges what came of trying. Pure.

use super::{Check, Status, some_of};
use crate::store::schema::checks::Isolation;

const NAME: &str = "tenant-isolation";

/// One line: a row that is reached fails; where nothing could be planted nobody knows.
pub fn isolation(tried: Result<&Isolation, &String>) -> Check {
    match tried {
        Err(why) => {
            let todo = "the owner has to be a member of progress_service and progress_worker";
            Check::of(Status::Unknown, NAME, format!("could not be tried: {why}"), todo)
        }
        Ok(tried) if !tried.leaks.is_empty() => {
            let todo =
                "close the table's policies before anything else; `xapi.reads` and `xapi.writes` stop what is served";
            Check::of(Status::Fail, NAME, some_of(&tried.leaks), todo)
        }
        Ok(Isolation { tables: 0, .. }) => Check::pass(NAME, "there is no table with a tenant"),
        Ok(Isolation { planted: 0, .. }) => {
            Check::of(Status::Unknown, NAME, "no row could be planted", "is the database read only?")
        }
        Ok(Isolation { tables, planted, .. }) => {
            let found =
                format!("no row of another tenant is reached in {tables} tables, {planted} of them with a planted row");
            Check::pass(NAME, found)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_reached_fails_and_what_could_not_be_tried_never_passes() {
        let tried = |tables, planted, leaks: &[&str]| {
            let leaks = leaks.iter().map(|leak| (*leak).to_owned()).collect();
            isolation(Ok(&Isolation { tables, planted, leaks })).status
        };
        assert_eq!(tried(9, 4, &[]), Status::Pass);
        assert_eq!(tried(9, 4, &["a.t is read by another tenant"]), Status::Fail);
        assert_eq!(tried(9, 0, &[]), Status::Unknown);
        assert_eq!(tried(0, 0, &[]), Status::Pass);
        assert_eq!(isolation(Err(&"no".to_owned())).status, Status::Unknown);
    }
}
