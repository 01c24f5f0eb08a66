//! Exceptions written in the head of the file: `-- progress: allow RULE because REASON`.

use serde::Serialize;

use super::{super::head, Finding, Severity, rules};

struct Allow<'a> {
    rule: &'a str,
    reason: &'a str,
    line: u32,
}

/// An exception that a file asks for, as `status` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exemption {
    pub rule: String,
    pub because: String,
}

/// The exceptions in the head of a text that have a reason.
pub fn exemptions(sql: &str) -> Vec<Exemption> {
    let with_reason = asked(sql).into_iter().filter(|allow| !allow.reason.is_empty());
    with_reason.map(|a| Exemption { rule: a.rule.to_owned(), because: a.reason.to_owned() }).collect()
}

fn asked(sql: &str) -> Vec<Allow<'_>> {
    head::comments(sql).filter_map(|(line, text)| parse(line, text)).collect()
}

/// Turns what the file excuses into notes, and speaks up about excuses that excuse nothing or give no reason.
pub(super) fn apply(sql: &str, found: Vec<Finding>) -> Vec<Finding> {
    let allows = asked(sql);
    let mut kept: Vec<Finding> = found
        .into_iter()
        .map(|finding| match allows.iter().find(|a| a.rule == finding.rule && !a.reason.is_empty()) {
            Some(allow) => Finding {
                severity: Severity::Note,
                message: format!("allowed: {}", finding.message),
                help: format!("because {}", allow.reason),
                ..finding
            },
            None => finding,
        })
        .collect();
    for allow in &allows {
        if allow.reason.is_empty() {
            let help = "write `-- progress: allow RULE because REASON`";
            kept.push(Finding::error("allow-reason", allow.line, "an exception without a reason", help));
        } else if !rules::is_known(allow.rule) {
            let message = format!("there is no rule {:?}", allow.rule);
            kept.push(Finding::error(
                "allow-reason",
                allow.line,
                message,
                "docs/migrations.md has a table of all rules",
            ));
        } else if !kept.iter().any(|finding| finding.rule == allow.rule) {
            let message = format!("nothing here breaks the rule {}", allow.rule);
            kept.push(Finding::warning("allow-unused", allow.line, message, "remove the line"));
        }
    }
    kept
}

fn parse(line: u32, text: &str) -> Option<Allow<'_>> {
    let rest = text.strip_prefix("progress:")?.trim_start().strip_prefix("allow")?;
    if !rest.is_empty() && !rest.starts_with(char::is_whitespace) {
        return None;
    }
    let (rule, reason) = rest.split_once(" because").unwrap_or((rest, ""));
    Some(Allow { rule: rule.trim(), reason: reason.trim(), line })
}

#[cfg(test)]
mod tests {
    use super::super::lint;
    use super::super::testing::*;
    use super::*;

    #[test]
    fn an_exception_with_a_reason_becomes_a_note() {
        let sql = "-- progress: allow additive-only because nobody ever read it\nDROP TABLE progress.t;";
        let found = lint(&file(RELEASE, sql));
        assert!(found.iter().any(|f| f.rule == "additive-only"
            && f.severity == Severity::Note
            && f.help == "because nobody ever read it"));
        assert_eq!(rules_of(&file(RELEASE, sql)), [""; 0]);
    }

    #[test]
    fn an_exception_needs_a_reason_and_a_cause() {
        let bare = "-- progress: allow additive-only\nDROP TABLE progress.t;";
        assert_eq!(rules_of(&file(RELEASE, bare)), ["allow-reason", "additive-only"]);
        let idle = "-- progress: allow additive-only because I may\nSELECT 1;";
        assert_eq!(rules_of(&file(RELEASE, idle)), ["allow-unused"]);
        let unknown = "-- progress: allow everything because I may\nSELECT 1;";
        assert_eq!(rules_of(&file(RELEASE, unknown)), ["allow-reason"]);
    }

    #[test]
    fn an_exception_stands_in_the_head() {
        let sql = "DROP TABLE progress.t;\n-- progress: allow additive-only because nobody ever read it";
        assert_eq!(rules_of(&file(RELEASE, sql)), ["additive-only"]);
        let quoted = "COMMENT ON TABLE progress.t IS '\n-- progress: allow lock-class because x\n';";
        assert_eq!(exemptions(quoted), []);
        let told = exemptions("-- progress: allow roles because the installer has none\nSELECT 1;");
        assert_eq!(told[0], Exemption { rule: "roles".into(), because: "the installer has none".into() });
    }
}
