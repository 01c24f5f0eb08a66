//! What a statement has to be by itself: the rules of section 9 that need nothing but the statement and its launch.

use serde_json::{Map, Value};

use super::{
    Launch, LaunchMode, MASTERY_SCORE, REASON, Said, Verb, rules,
    said::{has_move_on_category, object, text},
};
use crate::{
    model::TenantId,
    xapi::{Violation, decimal::Decimal, keys::Ifi},
};

/// A statement in cmi5's words, with the rules that it breaks by itself. `None`: it is not one of cmi5's.
pub fn read(tenant: TenantId, launch: Option<&Launch>, statement: usize, doc: &Map<String, Value>) -> Option<Said> {
    let mut said = Said::of(tenant, launch, statement, doc)?;
    said.broken = broken(&said, doc, launch);
    Some(said)
}

/// What is found, each at its place in the statement.
struct Report<'a> {
    said: &'a Said,
    found: Vec<Violation>,
}

impl Report<'_> {
    fn expect(&mut self, holds: bool, pointer: &str, rule: &'static str, message: &str) {
        if !holds {
            let (pointer, message) = (pointer.to_owned(), message.to_owned());
            self.found.push(Violation { statement: Some(self.said.statement), pointer, rule, message });
        }
    }
}

/// The rules that the statement breaks, in the order of its properties.
fn broken(said: &Said, doc: &Map<String, Value>, launch: Option<&Launch>) -> Vec<Violation> {
    let mut report = Report { said, found: Vec::new() };
    let is_by_launch = launch.is_some();
    report.expect(!is_by_launch || doc.contains_key("id"), "/id", rules::ID, "a unit makes the ids of its statements");
    timestamp(&mut report, doc);
    let has_session = said.session.is_some();
    let message = "the extension sessionid is missing";
    report.expect(has_session, "/context/extensions", rules::SESSION_MISSING, message);
    category(&mut report, doc);
    if said.is_defined {
        let is_of_lms = is_by_launch && said.verb.is_of_lms();
        report.expect(!is_of_lms, "/verb/id", rules::VERB_OF_LMS, "this verb is the LMS's");
        parties(&mut report);
        result(&mut report, object(doc, "result"));
        if let Some(launch) = launch {
            of_launch(&mut report, doc, launch);
        }
    }
    report.found
}

fn timestamp(report: &mut Report<'_>, doc: &Map<String, Value>) {
    let given = text(doc, "timestamp");
    report.expect(given.is_some(), "/timestamp", rules::TIMESTAMP, "it is missing");
    let is_utc = given.is_none_or(|given| {
        let time = given.split_once(['T', 't']).map_or("", |(_, time)| time);
        let zone = time.find(['+', '-', 'Z', 'z']).map_or("Z", |at| &time[at..]);
        zone.trim_start_matches('+').bytes().all(|b| matches!(b, b'0' | b':' | b'Z' | b'z'))
    });
    report.expect(is_utc, "/timestamp", rules::TIMESTAMP, "its offset is not that of UTC");
}

fn category(report: &mut Report<'_>, doc: &Map<String, Value>) {
    let says = |name: &str| object(doc, "result").is_some_and(|result| result.contains_key(name));
    let is_verdict = report.said.is_defined && (says("success") || says("completion"));
    let message =
        if is_verdict { "the moveOn category is missing" } else { "the moveOn category does not belong here" };
    let holds = has_move_on_category(doc) == is_verdict;
    report.expect(holds, "/context/contextActivities/category", rules::MOVE_ON_CATEGORY, message);
}

/// Who and what it is about, and in which registration.
fn parties(report: &mut Report<'_>) {
    let said = report.said;
    let is_account = matches!(said.actor, Some(Ifi::Account { .. }));
    report.expect(said.is_agent && is_account, "/actor", rules::ACTOR, "expected an Agent with an account");
    report.expect(said.object.is_some(), "/object", rules::OBJECT, "expected an activity");
    let has_registration = said.registration.is_some();
    report.expect(has_registration, "/context/registration", rules::REGISTRATION_MISSING, "it is missing");
}

fn result(report: &mut Report<'_>, result: Option<&Map<String, Value>>) {
    let verb = report.said.verb;
    let flag = |name: &str| result.and_then(|result| result.get(name)).and_then(Value::as_bool);
    let success = match verb {
        Verb::Passed | Verb::Waived => Some(true),
        Verb::Failed => Some(false),
        _ => None,
    };
    report.expect(flag("success") == success, "/result/success", rules::SUCCESS, &expected(success, verb));
    let completion = matches!(verb, Verb::Completed | Verb::Waived).then_some(true);
    let message = expected(completion, verb);
    report.expect(flag("completion") == completion, "/result/completion", rules::COMPLETION, &message);
    let has_duration = result.is_some_and(|result| result.contains_key("duration"));
    let takes_time = matches!(verb, Verb::Terminated | Verb::Completed | Verb::Passed | Verb::Failed | Verb::Abandoned);
    report.expect(has_duration || !takes_time, "/result/duration", rules::DURATION, "it is missing");
    let reason = result.and_then(|result| object(result, "extensions")).and_then(|all| text(all, REASON));
    let message = "the extension reason is missing";
    report.expect(verb != Verb::Waived || reason.is_some(), "/result/extensions", rules::REASON, message);
    if let Some(score) = result.and_then(|result| object(result, "score")) {
        let is_judged = matches!(verb, Verb::Passed | Verb::Failed);
        report.expect(is_judged, "/result/score", rules::SCORE, "only passed and failed have one");
        let has_bounds = score.contains_key("min") && score.contains_key("max");
        let message = "raw comes with min and max";
        report.expect(has_bounds || !score.contains_key("raw"), "/result/score", rules::SCORE, message);
    }
}

fn expected(value: Option<bool>, verb: Verb) -> String {
    let (value, name) = (value.map_or("none".to_owned(), |value| value.to_string()), verb.name());
    if name.is_empty() { format!("expected {value}") } else { format!("expected {value} in {name}") }
}

fn of_launch(report: &mut Report<'_>, doc: &Map<String, Value>, launch: &Launch) {
    let verb = report.said.verb;
    let counts = matches!(verb, Verb::Completed | Verb::Passed | Verb::Failed);
    let is_looking = matches!(launch.mode, Some(LaunchMode::Browse | LaunchMode::Review));
    report.expect(!(counts && is_looking), "/verb/id", rules::LAUNCH_MODE, "the launch is not for that");

    let score = object(doc, "result").and_then(|result| object(result, "score"));
    let (Some(mastery), Some(score)) = (launch.mastery_score, score) else { return };
    if !matches!(verb, Verb::Passed | Verb::Failed) {
        return;
    }
    let mastery = Decimal::of(&mastery.to_string());
    let extensions = object(doc, "context").and_then(|context| object(context, "extensions"));
    let repeated = extensions.and_then(|all| all.get(MASTERY_SCORE)).and_then(Value::as_number);
    let is_repeated = repeated.is_some_and(|number| Decimal::of(number.as_str()) == mastery);
    let message = "expected the extension masteryscore with the launch's value";
    report.expect(is_repeated, "/context/extensions", rules::MASTERY_SCORE, message);
    if let Some(scaled) = score.get("scaled").and_then(Value::as_number) {
        let is_mastered = Decimal::of(scaled.as_str()) >= mastery;
        let message = if is_mastered { "it reaches the mastery score" } else { "it does not reach the mastery score" };
        report.expect(is_mastered == (verb == Verb::Passed), "/result/score/scaled", rules::MASTERY, message);
    }
}

#[cfg(test)]
mod tests;
