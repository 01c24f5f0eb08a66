//! Exceptions written in the file itself: `-- progress: allow RULE because REASON`.

use super::{Finding, Severity};

struct Allow<'a> {
    rule: &'a str,
    reason: &'a str,
    line: u32,
}

/// Turns what the file excuses into notes, and speaks up about excuses that excuse nothing or give no reason.
pub(super) fn apply(sql: &str, found: Vec<Finding>) -> Vec<Finding> {
    let allows: Vec<Allow<'_>> = (1..).zip(sql.lines()).filter_map(|(line, text)| parse(line, text)).collect();
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
        } else if !kept.iter().any(|finding| finding.rule == allow.rule) {
            let message = format!("nothing here breaks the rule {}", allow.rule);
            kept.push(Finding::warning("allow-unused", allow.line, message, "remove the line"));
        }
    }
    kept
}

fn parse(line: u32, text: &str) -> Option<Allow<'_>> {
    let rest = text.trim_start().strip_prefix("--")?.trim_start().strip_prefix("progress:")?.trim_start();
    let rest = rest.strip_prefix("allow")?;
    if !rest.is_empty() && !rest.starts_with(char::is_whitespace) {
        return None;
    }
    let (rule, reason) = rest.split_once(" because").unwrap_or((rest, ""));
    Some(Allow { rule: rule.trim(), reason: reason.trim(), line })
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::super::{Severity, lint};

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
    }
}
