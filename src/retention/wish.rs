//! Rules and the scopes of holds as people write them, read the same way wherever they are asked for.

use serde_json::{Map, Value};

use super::{Retention, RetentionError, who};
use crate::{
    model::{
        TenantId,
        retention::{Place, Rule, Starts, days},
    },
    store::ledger::holds::Scope,
};

/// A rule as it is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Written<'w> {
    pub class: &'w str,
    pub covers: &'w str,
    pub course: Option<&'w str>,
    /// Absent: `stored`.
    pub starts: Option<&'w str>,
    /// Such as `7y`.
    pub keep: Option<&'w str>,
    pub delete: Option<&'w str>,
}

impl Written<'_> {
    /// The rule, for one tenant or for everybody of its class.
    pub fn rule(&self, tenant: TenantId, everybody: bool) -> Result<Rule, RetentionError> {
        let wrong = |name: &str, why: &str| RetentionError::Refused(format!("{name}: {why}"));
        let period = |name: &str, text: Option<&str>| text.map(days).transpose().map_err(|why| wrong(name, &why));
        let places = || format!("expected one of {}", Place::ALL.map(Place::name).join(", "));
        let covers = Place::parse(self.covers).ok_or_else(|| wrong("covers", &places()))?;
        let starts = Starts::parse(self.starts.unwrap_or(Starts::Stored.name()));
        let starts = starts.ok_or_else(|| wrong("starts", "expected stored or withdrawn"))?;
        Ok(Rule {
            number: 0,
            tenant: Some(tenant).filter(|_| !everybody),
            class: self.class.to_owned(),
            covers,
            course: self.course.map(|id| who::course(tenant, id)).transpose()?,
            starts,
            keep: period("keep", self.keep)?,
            delete: period("delete", self.delete)?,
        })
    }
}

/// What a hold is to be on: one of these, and no more.
#[derive(Clone, Debug, Default)]
pub struct Named<'n> {
    pub whole_tenant: bool,
    pub agents: Option<Vec<Map<String, Value>>>,
    pub user: Option<String>,
    pub registration: Option<&'n str>,
    pub course: Option<&'n str>,
}

impl Retention {
    /// The scope that is meant.
    pub async fn scope(&self, tenant: TenantId, named: Named<'_>) -> Result<Scope, RetentionError> {
        let Named { whole_tenant, agents, user, registration, course } = named;
        let is_person = agents.is_some() || user.is_some();
        match (whole_tenant, is_person, registration, course) {
            (true, false, None, None) => Ok(Scope::Tenant),
            (false, true, None, None) => {
                self.person(tenant, &who::Person { agents: agents.unwrap_or_default(), user }).await
            }
            (false, false, Some(text), None) => who::registration(tenant, text),
            (false, false, None, Some(id)) => {
                let course = who::course(tenant, id)?;
                Ok(Scope::Course { named: course.id, key: course.key })
            }
            _ => Err(RetentionError::Refused(
                "scope: name one of wholeTenant, agents or user, registration, course".to_owned(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read_as_it_is_written_and_what_is_wrong_is_named() {
        let good = Written { class: "standard", covers: "statements", delete: Some("2y"), ..Written::default() };
        let rule = good.rule(TenantId::DEFAULT, false).unwrap();
        assert_eq!(
            (rule.tenant, rule.covers, rule.keep, rule.delete),
            (Some(TenantId::DEFAULT), Place::Statements, None, Some(731))
        );
        assert_eq!(good.rule(TenantId::DEFAULT, true).unwrap().tenant, None);
        for (written, name) in [
            (Written { covers: "everything", ..good }, "covers"),
            (Written { starts: Some("birth"), ..good }, "starts"),
            (Written { keep: Some("7"), ..good }, "keep"),
            (Written { delete: Some("soon"), ..good }, "delete"),
            (Written { course: Some("no iri"), ..good }, "course"),
        ] {
            let error = written.rule(TenantId::DEFAULT, false).unwrap_err().to_string();
            assert!(error.contains(name), "{name}: {error}");
        }
    }
}
