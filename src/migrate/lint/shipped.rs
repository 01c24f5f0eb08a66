//! Files that were shipped before a rule came. They never change, so the rule is waived for exactly their text.

use std::sync::LazyLock;

use serde::Deserialize;

use super::{Exemption, Finding, Severity};

/// The name of such a list in a folder of plug-ins.
pub const LIST: &str = "shipped.toml";

/// A text and the rules it need not keep.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shipped {
    /// `module/file`.
    pub file: String,
    pub checksum: String,
    pub rules: Vec<String>,
    pub because: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    file: Vec<Shipped>,
}

/// The list of this binary, `migrations/shipped.toml`. A list that does not parse waives nothing.
static OURS: LazyLock<Vec<Shipped>> =
    LazyLock::new(|| parse(include_str!("../../../migrations/shipped.toml")).unwrap_or_default());

pub fn parse(text: &str) -> Result<Vec<Shipped>, toml::de::Error> {
    Ok(toml::from_str::<List>(text)?.file)
}

/// Turns what is waived for this text into notes; `more` is the list of a plug-in folder.
pub(super) fn waive(file: &str, checksum: &str, more: &[Shipped], found: &mut [Finding]) {
    for shipped in listed(file, checksum, more) {
        for finding in found.iter_mut().filter(|f| f.severity > Severity::Note && shipped.rules.contains(&f.rule)) {
            finding.severity = Severity::Note;
            finding.message = format!("waived: {}", finding.message);
            finding.help = format!("because {}", shipped.because);
        }
    }
}

/// What is waived for this text, in the form in which a file asks for it.
pub(super) fn waivers<'a>(
    file: &'a str,
    checksum: &'a str,
    more: &'a [Shipped],
) -> impl Iterator<Item = Exemption> + 'a {
    listed(file, checksum, more).flat_map(|shipped| {
        shipped.rules.iter().map(|rule| Exemption { rule: rule.clone(), because: shipped.because.clone() })
    })
}

fn listed<'a>(file: &'a str, checksum: &'a str, more: &'a [Shipped]) -> impl Iterator<Item = &'a Shipped> {
    OURS.iter().chain(more).filter(move |one| one.file == file && one.checksum == checksum)
}

#[cfg(test)]
mod tests {
    use super::{super::rules, *};
    use crate::migrate::{checksum::checksum, modules};

    #[test]
    fn our_list_waives_what_our_files_break_and_nothing_more() {
        let ours = parse(include_str!("../../../migrations/shipped.toml")).unwrap();
        let modules = modules::internal().unwrap();
        for shipped in &ours {
            assert!(shipped.rules.iter().all(|rule| rules::is_known(rule)), "{}", shipped.file);
            let (module, name) = shipped.file.split_once('/').unwrap();
            let module = modules.iter().find(|m| m.name == module).unwrap();
            let texts = module.files.iter().flat_map(|file| {
                let down = file.down.as_ref().map(|down| (file.name.down_file(), down.text.clone()));
                std::iter::once((file.file(), file.text.clone())).chain(down)
            });
            let (_, text) = texts.into_iter().find(|(file, _)| file == name).unwrap();
            assert_eq!(checksum(&text), shipped.checksum, "{} is not what was shipped", shipped.file);
            let waived = super::super::review(module).into_iter().find(|review| review.file == name).unwrap();
            for rule in &shipped.rules {
                let is_waived = |f: &Finding| f.rule == *rule && f.message.starts_with("waived: ");
                assert!(waived.findings.iter().any(is_waived), "{} does not break {rule}", shipped.file);
            }
        }
    }

    #[test]
    fn a_waiver_is_for_one_text() {
        let list =
            "[[file]]\nfile = \"m/001_a.sql\"\nchecksum = \"sha256:x\"\nrules = [\"roles\"]\nbecause = \"old\"\n";
        let list = parse(list).unwrap();
        let after = |checksum: &str, rule: &str| {
            let mut found = vec![Finding::error(rule, 1, "m", "h")];
            waive("m/001_a.sql", checksum, &list, &mut found);
            found[0].severity
        };
        assert_eq!(after("sha256:x", "roles"), Severity::Note);
        assert_eq!(after("sha256:y", "roles"), Severity::Error);
        assert_eq!(after("sha256:x", "history"), Severity::Error);
        assert!(parse("[[file]]\nfile = \"a\"").is_err());
    }
}
