//! What a statement says of an attempt, if it names one.

mod cmi5;
mod excerpt;

use chrono::{DateTime, SubsecRound, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use self::excerpt::Wanted;
use super::effects::EFFECTS;
use crate::{
    model::{
        Pseudonyms, TenantId,
        attempt::{AttemptName, Effect, Fact},
        names::{derived, given},
        score::Score,
    },
    xapi::{
        keys::{self, Ifi},
        syntax::{duration, timestamp},
    },
};

/// Where the platform's own extensions stand.
pub const EXTENSIONS: &str = "http://ghasi.io/xapi/extensions/";

const COURSE_TYPES: [&str; 2] =
    ["https://w3id.org/xapi/cmi5/activitytype/course", "http://adlnet.gov/expapi/activities/course"];

/// Beyond this a number is a mistake of the sender; the attempt gets the next one.
const LARGEST_NUMBER: i64 = 1_000_000;

/// The attempt that a statement names, and what it says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptFact {
    pub attempt: AttemptName,
    pub fact: Fact,
}

/// What of a statement [`of`] looks at.
const LOOKED_AT: Wanted = {
    const ID: Wanted = Wanted::Members(&[("id", Wanted::Whole)]);
    const ACTIVITY: Wanted =
        Wanted::Members(&[("id", Wanted::Whole), ("definition", Wanted::Members(&[("type", Wanted::Whole)]))]);
    Wanted::Members(&[
        ("actor", Wanted::Whole),
        ("verb", ID),
        (
            "object",
            Wanted::Members(&[
                ("objectType", Wanted::Whole),
                ("id", Wanted::Whole),
                ("definition", Wanted::Members(&[("type", Wanted::Whole)])),
            ]),
        ),
        (
            "result",
            Wanted::Members(&[
                ("success", Wanted::Whole),
                ("score", Wanted::Members(&[("scaled", Wanted::Whole)])),
                ("duration", Wanted::Whole),
            ]),
        ),
        (
            "context",
            Wanted::Members(&[
                ("registration", Wanted::Whole),
                ("extensions", Wanted::Whole),
                (
                    "contextActivities",
                    Wanted::Members(&[("grouping", ACTIVITY), ("parent", ACTIVITY), ("category", ID)]),
                ),
            ]),
        ),
        ("timestamp", Wanted::Whole),
    ])
};

/// Reads a statement as the ledger keeps it. `None`: it names no attempt.
pub fn read(
    tenant: TenantId,
    pseudonyms: &Pseudonyms,
    payload: &str,
    id: Uuid,
    stored: DateTime<Utc>,
) -> Result<Option<AttemptFact>, serde_json::Error> {
    Ok(of(tenant, pseudonyms, &excerpt::read(&LOOKED_AT, payload)?, id, stored))
}

fn of(
    tenant: TenantId,
    pseudonyms: &Pseudonyms,
    statement: &Map<String, Value>,
    id: Uuid,
    stored: DateTime<Utc>,
) -> Option<AttemptFact> {
    let context = object(statement, "context")?;
    let said = cmi5::read(tenant, statement, context);
    let effect = match (EFFECTS.of_verb(text(object(statement, "verb")?, "id")?), &said) {
        (Effect::Apart, _) | (Effect::Satisfied | Effect::Waived, None) => return None,
        (Effect::Launched, None) => Effect::Belongs,
        (effect, None) => effect,
        (effect, Some(said)) => said.effect(effect),
    };
    let attempt = name(tenant, pseudonyms, statement, context, said.is_some())?;
    let result = object(statement, "result");
    let scaled = result.and_then(|result| object(result, "score")).and_then(|score| score.get("scaled"));
    let occurred = text(statement, "timestamp").and_then(timestamp::parse).unwrap_or(stored);
    let fact = Fact {
        statement: id,
        stored,
        occurred: occurred.trunc_subsecs(6),
        effect,
        success: result.and_then(|result| result.get("success")).and_then(Value::as_bool),
        score: scaled.and_then(Value::as_number).and_then(|number| Score::parse(number.as_str())),
        seconds: result.and_then(|result| text(result, "duration")).and_then(whole_seconds),
        // Whether it is voided is asked when the attempt is folded.
        voided: false,
        cmi5: said.map(|said| said.cmi5),
    };
    Some(AttemptFact { attempt, fact })
}

/// The attempt by the platform's extensions, else by registration and actor. In cmi5 the registration is the attempt, for
/// its statements name now a unit, now the course; elsewhere one registration may hold several courses.
fn name(
    tenant: TenantId,
    pseudonyms: &Pseudonyms,
    statement: &Map<String, Value>,
    context: &Map<String, Value>,
    is_cmi5: bool,
) -> Option<AttemptName> {
    let actor = Ifi::of(object(statement, "actor")?)?;
    let extensions = object(context, "extensions");
    let extension = |name: &str| extensions.and_then(|all| all.get(&format!("{EXTENSIONS}{name}")));
    let own = |name: &str| extension(name).and_then(scalar).and_then(|text| given(tenant, name, &text));
    let registration = text(context, "registration").and_then(|text| Uuid::parse_str(text).ok());
    let course = course(statement, context);
    // It goes out in events, and so does what is derived from it.
    let pseudonym = pseudonyms.of(keys::agent(tenant.0, &actor));
    let wanted_number = extension("attempt-number").and_then(number);

    let (id, enrollment) = match (own("attempt-id"), own("enrollment-id"), registration) {
        (Some(attempt), Some(enrollment), _) => (attempt, enrollment),
        (Some(attempt), None, Some(registration)) => (attempt, registration.to_string()),
        // Alone it is an enrollment of its own.
        (Some(attempt), None, None) => (attempt.clone(), attempt),
        (None, Some(enrollment), _) if wanted_number.is_some() => {
            let number = wanted_number.unwrap_or_default().to_string();
            (derived(tenant, "attempt by number", &[&enrollment, &number]).to_string(), enrollment)
        }
        (None, enrollment, Some(registration)) => {
            let registration = registration.to_string();
            let id = match is_cmi5 {
                true => derived(tenant, "cmi5 registration", &[&registration, &pseudonym]),
                false => derived(tenant, "attempt by registration", &[&registration, &pseudonym, course?]),
            };
            (id.to_string(), enrollment.unwrap_or(registration))
        }
        (None, _, None) => return None,
    };
    let course_key = course.map_or_else(String::new, |iri| keys::activity(tenant.0, iri).to_string());
    Some(AttemptName {
        id,
        enrollment,
        user: keys::user(tenant.0, &actor, |key| pseudonyms.of(key)),
        course: own("course-id").unwrap_or_else(|| course_key.clone()),
        course_version: own("course-version-id").unwrap_or(course_key),
        wanted_number,
    })
}

/// The course a statement belongs to: what it is grouped under, else its parent, else the activity itself. Where
/// several stand, one that says it is a course goes first.
pub fn course<'a>(statement: &'a Map<String, Value>, context: &'a Map<String, Value>) -> Option<&'a str> {
    let related = object(context, "contextActivities");
    for relation in ["grouping", "parent"] {
        let first = || activities(related, relation).next().and_then(|activity| text(activity, "id"));
        if let Some(course) = course_among(activities(related, relation)).or_else(first) {
            return Some(course);
        }
    }
    let own = object(statement, "object")?;
    let is_activity = own.get("objectType").is_none_or(|kind| kind == "Activity");
    is_activity.then(|| text(own, "id")).flatten()
}

/// The first of the activities that says it is a course.
fn course_among<'a>(mut activities: impl Iterator<Item = &'a Map<String, Value>>) -> Option<&'a str> {
    let says_course = |activity: &&Map<String, Value>| {
        let kind = object(activity, "definition").and_then(|definition| text(definition, "type"));
        kind.is_some_and(|kind| COURSE_TYPES.contains(&kind))
    };
    activities.find(says_course).and_then(|activity| text(activity, "id"))
}

/// The activities of one relation, in whichever of the two forms they stand.
fn activities<'a>(
    related: Option<&'a Map<String, Value>>,
    relation: &str,
) -> impl Iterator<Item = &'a Map<String, Value>> {
    let (many, one) = match related.and_then(|related| related.get(relation)) {
        Some(Value::Array(all)) => (all.as_slice(), None),
        Some(Value::Object(one)) => (&[][..], Some(one)),
        _ => (&[][..], None),
    };
    many.iter().filter_map(Value::as_object).chain(one)
}

fn object<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Map<String, Value>> {
    map.get(name).and_then(Value::as_object)
}

fn text<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    map.get(name).and_then(Value::as_str)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn number(value: &Value) -> Option<i32> {
    let number: i64 = scalar(value)?.trim().parse().ok()?;
    (1..=LARGEST_NUMBER).contains(&number).then(|| i32::try_from(number).ok()).flatten()
}

/// A duration without years and months, whose lengths nobody knows; a fraction of a second is cut off.
fn whole_seconds(text: &str) -> Option<i64> {
    let duration = duration::parse(text)?;
    if !(duration.years.is_empty() && duration.months.is_empty()) {
        return None;
    }
    let parts = [
        (duration.weeks, 604_800),
        (duration.days, 86_400),
        (duration.hours, 3_600),
        (duration.minutes, 60),
        (duration.seconds, 1),
    ];
    parts.into_iter().try_fold(0_i64, |sum, (part, unit)| sum.checked_add(seconds(part, unit)?))
}

/// The fraction counts by its first six digits.
fn seconds(part: &str, unit: i64) -> Option<i64> {
    if part.is_empty() {
        return Some(0);
    }
    let (whole, fraction) = part.split_once(['.', ',']).unwrap_or((part, ""));
    let mut millionths: i64 = 0;
    for at in 0..6 {
        millionths = millionths * 10 + fraction.as_bytes().get(at).map_or(0, |digit| i64::from(digit - b'0'));
    }
    whole.parse::<i64>().ok()?.checked_mul(unit)?.checked_add(millionths * unit / 1_000_000)
}

#[cfg(test)]
mod tests;
