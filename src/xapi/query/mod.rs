//! Query parameters of every resource, read into types. A parameter that is unknown, misspelt, repeated or has an invalid value
//! is refused with its name; nothing is ever ignored.

mod documents;
mod params;
pub(super) mod resource;
mod statements;

use super::{Limits, Violations, keys::Ifi};
use params::Params;

pub use documents::{DocumentMethod, DocumentQuery, DocumentScope, documents};
pub use resource::Resource;
pub use statements::{Format, OneStatement, StatementQuery, StatementsQuery, put_statement, statements};

/// Decoded query parameters in their order.
pub type Given = [(String, String)];

/// GET /agents: the agent whose names and identifiers are asked for.
pub fn agents(given: &Given, limits: &Limits) -> Result<Ifi, Violations> {
    let mut params = Params::new(given, &["agent"], limits);
    let agent = params.required("agent", Params::agent);
    params.finish(agent)
}

/// GET /activities: the activity whose definition is asked for.
pub fn activities(given: &Given, limits: &Limits) -> Result<String, Violations> {
    let mut params = Params::new(given, &["activityId"], limits);
    let activity = params.required("activityId", Params::iri);
    params.finish(activity)
}

/// Requests that take no parameter: POST /statements, GET /about.
pub fn none(given: &Given, limits: &Limits) -> Result<(), Violations> {
    Params::new(given, &[], limits).finish(Some(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn given(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// The rules broken, in order.
    pub(super) fn rules<T>(result: Result<T, Violations>) -> Vec<&'static str> {
        result.map_or_else(|violations| violations.0.iter().map(|v| v.rule).collect(), |_| Vec::new())
    }

    #[test]
    fn an_unknown_parameter_is_named_with_the_nearest_known_one() {
        let limits = Limits::default();
        let message = |name: &str| statements(&given(&[(name, "1")]), &limits).unwrap_err().to_string();
        assert!(message("StatementId").contains("\"StatementId\" is unknown; did you mean statementId?"));
        assert!(message("LIMIT").contains("did you mean limit?"));
        assert!(message("verbs").contains("did you mean verb?"));
        assert!(message("colour_of_the_sky").contains("known are statementId"));
        assert!(message(&"x".repeat(10_000)).len() < 400);
        assert_eq!(rules(none(&given(&[("a", "b")]), &limits)), ["query.unknown"]);
        assert_eq!(none(&[], &limits), Ok(()));
    }

    #[test]
    fn agents_need_an_agent_and_activities_an_iri() {
        let limits = Limits::default();
        let agent = |text: &str| agents(&given(&[("agent", text)]), &limits);
        assert_eq!(agent(r#"{"mbox":"mailto:a@b.c"}"#), Ok(Ifi::Mbox("mailto:a@b.c".into())));
        for bad in [
            "",
            "true",
            "[]",
            "{}",
            r#"{"name":"x"}"#,
            r#"{"mbox""mailto:a@b.c"}"#,
            r#"{"objectType":"Group","mbox":"mailto:a@b.c"}"#,
        ] {
            assert_eq!(rules(agent(bad)), ["query.agent"], "{bad}");
        }
        assert_eq!(rules(agents(&[], &limits)), ["query.missing"]);
        assert_eq!(
            activities(&given(&[("activityId", "http://a.example/1")]), &limits),
            Ok("http://a.example/1".into())
        );
        assert_eq!(rules(activities(&given(&[("activityId", "no scheme")]), &limits)), ["query.iri"]);
        assert_eq!(
            rules(activities(&given(&[("activityId", &format!("a:{}", "x".repeat(20_000)))]), &limits)),
            ["query.iri"]
        );
    }
}
