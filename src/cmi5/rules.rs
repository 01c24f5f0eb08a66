//! Every rule of cmi5 that is held here, by its id, with the sentence `docs/cmi5.md` prints for it. Ids are stable:
//! clients may match on them.

macro_rules! rules {
    ($($name:ident = $id:literal, $section:literal: $sentence:literal;)*) => {
        $(#[doc = $sentence] pub const $name: &str = $id;)*

        /// Ids, sections of the specification and sentences, in the order of the document.
        pub const ALL: &[(&str, &str, &str)] = &[$(($id, $section, $sentence)),*];
    };
}

// What a launch is bound to: always held.
rules! {
    LEARNER = "cmi5.learner", "8.1.3": "A launch speaks for its learner, who is an Agent, and reaches nobody else's documents.";
    REGISTRATION = "cmi5.registration", "8.1.4": "A launch speaks in its registration.";
    SESSION = "cmi5.session", "9.6.3.1": "A launch that is bound to a session names no other one.";
    ACTIVITY = "cmi5.activity", "8.1.5": "A launch that is bound to a unit makes cmi5 defined statements about it, and writes documents of no other activity.";
    VOIDING = "cmi5.voiding", "6.3": "A launch voids nothing.";
    LAUNCH_DATA = "cmi5.launch-data", "10.2.1": "A launch neither changes nor deletes `LMS.LaunchData`, also not with all states at once.";

    SESSION_MISSING = "cmi5.session.missing", "9.6.3.1": "A statement of a session says its session id.";
    INITIALIZED_FIRST = "cmi5.initialized.first", "9.3.2": "`initialized` is the first statement of a session.";
    TERMINATED_LAST = "cmi5.terminated.last", "9.3.8": "`terminated` is the last statement of a session.";
    ABANDONED_LAST = "cmi5.abandoned.last", "9.3.6": "No statement of a session comes after it was abandoned.";
    VERB_TWICE = "cmi5.verb.twice", "9.3": "A verb of cmi5 is used once in a session.";
    VERDICT_TWICE = "cmi5.verdict.twice", "9.3": "A session has one of `passed` and `failed`.";
    COMPLETED_TWICE = "cmi5.completed.twice", "9.3.3": "A unit is completed once in a registration.";
    PASSED_TWICE = "cmi5.passed.twice", "9.3.4": "A unit is passed once in a registration.";
    FAILED_AFTER_PASSED = "cmi5.failed.after-passed", "9.3": "A unit that is passed does not fail any more in its registration.";
    WAIVED_TWICE = "cmi5.waived.twice", "9.3.7": "A unit is waived once in a registration.";
    VERB_OF_LMS = "cmi5.verb.lms", "9.3": "`launched`, `abandoned`, `waived` and `satisfied` are said by the LMS, never by a launch.";
    ID = "cmi5.id", "9.1": "A unit gives each of its statements an `id`.";
    TIMESTAMP = "cmi5.timestamp", "9.7": "A statement has a `timestamp`, in UTC.";
    ACTOR = "cmi5.actor", "9.2": "The actor of a defined statement is an Agent with an account.";
    OBJECT = "cmi5.object", "9.4": "The object of a defined statement is an activity.";
    REGISTRATION_MISSING = "cmi5.registration.missing", "9.6.1": "A defined statement says its registration.";
    SCORE = "cmi5.score", "9.5.1": "Of defined statements only `passed` and `failed` have a score; a `raw` one comes with `min` and `max`.";
    SUCCESS = "cmi5.success", "9.5.2": "`success` is true in `passed` and `waived`, false in `failed`, and in no other defined statement.";
    COMPLETION = "cmi5.completion", "9.5.3": "`completion` is true in `completed` and `waived`, and in no other defined statement.";
    DURATION = "cmi5.duration", "9.5.4": "`terminated`, `completed`, `passed`, `failed` and `abandoned` say a `duration`.";
    REASON = "cmi5.reason", "9.5.5.2": "`waived` says its reason.";
    MOVE_ON_CATEGORY = "cmi5.move-on-category", "9.6.2.2": "The moveOn category stands in the defined statements with `success` or `completion`, and nowhere else.";
    MASTERY_SCORE = "cmi5.mastery-score", "9.6.3.2": "A scored `passed` or `failed` of a launch with a mastery score repeats it in its context.";
    MASTERY = "cmi5.mastery", "9.3.4": "A scaled score reaches the launch's mastery score in `passed`, and stays below it in `failed`.";
    LAUNCH_MODE = "cmi5.launch-mode", "10.2.2": "Launched to browse or to review, a unit says nothing of completion or success.";
    PREFERENCES = "cmi5.preferences", "11": "`cmi5LearnerPreferences` is a JSON object with `languagePreference`, language tags separated by commas, and `audioPreference`, on or off.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_stands_in_the_documentation_with_its_section() {
        let page = include_str!("../../docs/cmi5.md");
        for (n, (id, section, sentence)) in ALL.iter().enumerate() {
            assert!(ALL[..n].iter().all(|(other, _, _)| other != id), "{id} stands twice");
            let line = format!("| `{id}` | {section} | {sentence} |");
            assert!(page.contains(&line), "{line}");
        }
    }
}
