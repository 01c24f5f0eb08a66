//! GET and PUT /statements: which statement, or which of them and in what form.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Given, params::Params};
use crate::{Limits, Violations, keys::Ifi, rules::table as rule};

/// What a GET of statements asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatementQuery {
    One(OneStatement),
    Many(Box<StatementsQuery>),
}

/// One statement by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneStatement {
    pub id: Uuid,
    /// Asked for by `voidedStatementId`: only a voided one is an answer. Otherwise only one that is not.
    pub voided: bool,
    pub format: Format,
    pub attachments: bool,
}

/// A page of statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementsQuery {
    pub agent: Option<Ifi>,
    pub verb: Option<String>,
    pub activity: Option<String>,
    pub registration: Option<Uuid>,
    pub related_agents: bool,
    pub related_activities: bool,
    /// Stored after this instant (exclusive).
    pub since: Option<DateTime<Utc>>,
    /// Stored at or before this instant.
    pub until: Option<DateTime<Utc>>,
    /// Statements on the page: from 1 to the server's maximum.
    pub limit: usize,
    pub ascending: bool,
    pub format: Format,
    pub attachments: bool,
}

/// How much of a statement is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Exact,
    Ids,
    Canonical,
}

const KNOWN: [&str; 14] = [
    "statementId",
    "voidedStatementId",
    "agent",
    "verb",
    "activity",
    "registration",
    "related_activities",
    "related_agents",
    "since",
    "until",
    "limit",
    "format",
    "attachments",
    "ascending",
];
const FORMATS: [(&str, Format); 3] = [("exact", Format::Exact), ("ids", Format::Ids), ("canonical", Format::Canonical)];

/// Reads the parameters of GET /statements.
pub fn statements(given: &Given, limits: &Limits) -> Result<StatementQuery, Violations> {
    let mut params = Params::new(given, &KNOWN, limits);
    let (id, voided_id) = (params.text("statementId"), params.text("voidedStatementId"));
    let query = match (id, voided_id) {
        (None, None) => Some(StatementQuery::Many(Box::new(many(&mut params)))),
        (Some(_), Some(_)) => {
            params.refuse(rule::QUERY_EXCLUSIVE, "statementId and voidedStatementId exclude each other");
            None
        }
        _ => one(&mut params, voided_id.is_some()).map(StatementQuery::One),
    };
    params.finish(query)
}

/// Reads the parameters of PUT /statements: the id that the statement must have.
pub fn put_statement(given: &Given, limits: &Limits) -> Result<Uuid, Violations> {
    let mut params = Params::new(given, &["statementId"], limits);
    let id = params.required("statementId", Params::uuid);
    params.finish(id)
}

fn one(params: &mut Params<'_>, voided: bool) -> Option<OneStatement> {
    let name = if voided { "voidedStatementId" } else { "statementId" };
    for other in KNOWN.into_iter().filter(|other| ![name, "format", "attachments"].contains(other)) {
        if params.text(other).is_some() {
            params.refuse(
                rule::QUERY_EXCLUSIVE,
                format!("{name} goes only with format and attachments, not with {other}"),
            );
        }
    }
    let (format, attachments) = form(params);
    Some(OneStatement { id: params.uuid(name)?, voided, format, attachments })
}

fn many(params: &mut Params<'_>) -> StatementsQuery {
    let (format, attachments) = form(params);
    StatementsQuery {
        agent: params.actor("agent"),
        verb: params.iri("verb"),
        activity: params.iri("activity"),
        registration: params.uuid("registration"),
        related_agents: params.flag("related_agents"),
        related_activities: params.flag("related_activities"),
        since: params.instant("since"),
        until: params.instant("until"),
        limit: params.limit("limit"),
        ascending: params.flag("ascending"),
        format,
        attachments,
    }
}

fn form(params: &mut Params<'_>) -> (Format, bool) {
    (params.one_of("format", &FORMATS).unwrap_or_default(), params.flag("attachments"))
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{given, rules},
        *,
    };

    const ID: &str = "ec531277-b57b-4c15-8d91-d292c5b2b8f7";

    fn read(pairs: &[(&str, &str)]) -> Result<StatementQuery, Violations> {
        statements(&given(pairs), &Limits { page: 100, ..Limits::default() })
    }

    fn page(pairs: &[(&str, &str)]) -> StatementsQuery {
        match read(pairs) {
            Ok(StatementQuery::Many(page)) => *page,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_statement_goes_only_with_form() {
        let one = |voided, format, attachments| {
            Ok(StatementQuery::One(OneStatement { id: ID.parse().unwrap(), voided, format, attachments }))
        };
        assert_eq!(read(&[("statementId", ID)]), one(false, Format::Exact, false));
        assert_eq!(
            read(&[("voidedStatementId", ID), ("format", "ids"), ("attachments", "true")]),
            one(true, Format::Ids, true)
        );
        assert_eq!(rules(read(&[("statementId", ID), ("voidedStatementId", ID)])), ["query.exclusive"]);
        for id in ["statementId", "voidedStatementId"] {
            for other in &KNOWN[2..11] {
                assert!(rules(read(&[(id, ID), (other, "true")])).contains(&"query.exclusive"), "{id} {other}");
            }
            assert_eq!(rules(read(&[(id, "not-a-uuid")])), ["query.uuid"]);
        }
    }

    #[test]
    fn a_page_has_defaults_and_every_filter() {
        let page = page(&[
            ("agent", r#"{"objectType":"Group","account":{"homePage":"http://h.example","name":"n"}}"#),
            ("verb", "http://v.example/v"),
            ("activity", "urn:a:1"),
            ("registration", ID),
            ("related_agents", "true"),
            ("since", "2020-01-01T00:00:00Z"),
            ("until", "2021-01-01T00:00:00.5+01:00"),
            ("limit", "7"),
            ("format", "canonical"),
        ]);
        assert_eq!(page.agent, Some(Ifi::Account { home_page: "http://h.example".into(), name: "n".into() }));
        assert_eq!((page.verb.as_deref(), page.activity.as_deref()), (Some("http://v.example/v"), Some("urn:a:1")));
        assert_eq!(
            (page.related_agents, page.related_activities, page.ascending, page.attachments),
            (true, false, false, false)
        );
        assert_eq!((page.limit, page.format), (7, Format::Canonical));
        assert!(page.since < page.until);
    }

    #[test]
    fn the_limit_is_the_servers_at_most() {
        for (asked, got) in [("0", 100), ("1", 1), ("100", 100), ("101", 100), ("99999999999999999999999", 100)] {
            assert_eq!(page(&[("limit", asked)]).limit, got, "{asked}");
        }
        assert_eq!(page(&[]).limit, 100);
    }

    #[test]
    fn every_invalid_value_is_refused() {
        for (name, value, rule) in [
            ("agent", "{}", "query.agent"),
            ("agent", "x", "query.agent"),
            ("verb", "no-scheme", "query.iri"),
            ("activity", "ab=c://should.fail.com", "query.iri"),
            ("activity", "", "query.iri"),
            ("registration", "ec531277b57b4c158d91d292c5b2b8f7", "query.uuid"),
            ("registration", "ec531277-b57b-4c15-8d91-d292c5b2b8f7f", "query.uuid"),
            ("related_agents", "TRUE", "query.boolean"),
            ("related_activities", "1", "query.boolean"),
            ("ascending", "", "query.boolean"),
            ("attachments", "yes", "query.boolean"),
            ("since", "yesterday", "query.timestamp"),
            ("until", "01/011/2015", "query.timestamp"),
            ("limit", "-1", "query.limit"),
            ("limit", "1.5", "query.limit"),
            ("limit", "", "query.limit"),
            ("format", "Exact", "query.choice"),
            ("stored", "x", "query.unknown"),
        ] {
            assert_eq!(rules(read(&[(name, value)])), [rule], "{name}={value}");
        }
        assert_eq!(rules(read(&[("limit", "1"), ("limit", "2")])), ["query.twice"]);
        assert_eq!(rules(read(&[("verb", "x"), ("limit", "y")])), ["query.iri", "query.limit"], "all are told");
    }

    #[test]
    fn put_needs_the_id_and_nothing_else() {
        let put = |pairs: &[(&str, &str)]| put_statement(&given(pairs), &Limits::default());
        assert_eq!(put(&[("statementId", ID)]), Ok(ID.parse().unwrap()));
        assert_eq!(rules(put(&[])), ["query.missing"]);
        assert_eq!(rules(put(&[("statementId", ID), ("limit", "1")])), ["query.unknown"]);
    }
}
