//! The table of keys as a page to read, and the running values with secrets hidden.

use std::fmt::Write as _;

use super::{FILE_VERSION, KEYS, Key, Loaded, Origin, legacy};

/// `docs/configuration.md`, whole.
pub fn markdown() -> String {
    let mut page = format!(
        "# Configuration\n\n\
         See also: [operations.md](operations.md), [security.md](security.md).\n\n\
         Every key can be set in the environment or in a TOML file; the environment wins. The file is `./progress.toml`, or the\n\
         one that `PROGRESS_CONFIG` names, and starts with `version = {FILE_VERSION}`. Unknown keys and unknown `PROGRESS_*`\n\
         variables are refused. `progress-service config show` prints what is in force, `config validate` checks without\n\
         starting, `config migrate` rewrites old names. This page is printed by `progress-service config docs`.\n\n\
         Durations are written `250ms`, `30s`, `5m`, `12h`, `7d`; sizes `512KiB`, `16MiB` or plain bytes; lists in the\n\
         environment are separated by commas.\n"
    );
    let mut section = None;
    for key in KEYS {
        let here = key.name.split_once('.').map_or("", |(section, _)| section);
        if section != Some(here) {
            section = Some(here);
            let title = if here.is_empty() { "Top of the file".to_owned() } else { format!("`[{here}]`") };
            let _ =
                write!(page, "\n## {title}\n\n| key | variable | kind | default | meaning |\n|---|---|---|---|---|\n");
        }
        page.push_str(&row(key));
    }
    page.push_str(
        "\n## Old names\n\nStill read, with a warning; `config migrate` rewrites them.\n\n| old | today |\n|---|---|\n",
    );
    for renamed in legacy::VARIABLES {
        let _ = writeln!(page, "| variable `{}` | `{}` |", renamed.old, renamed.key);
    }
    for renamed in legacy::FILE_KEYS {
        let _ = writeln!(page, "| file key `{}` | `{}` |", renamed.old, renamed.key);
    }
    page
}

fn row(key: &Key) -> String {
    let default = if key.default.is_empty() { "(none)".to_owned() } else { format!("`{}`", key.default) };
    let secret = if key.secret && key.kind != "secret" { ", secret" } else { "" };
    format!("| `{}` | `{}` | {}{secret} | {default} | {} |\n", key.name, key.env(), key.kind, key.doc.trim())
}

/// One line per key: name, value, where it came from.
pub fn show(loaded: &Loaded) -> String {
    let mut lines = String::new();
    for key in KEYS {
        let (text, origin) = loaded.values.text(key);
        let value = match text {
            "" => "(none)",
            _ if key.secret => "[redacted]",
            text => text,
        };
        let origin = if origin == Origin::Default { String::new() } else { format!("  # {origin}") };
        let _ = writeln!(lines, "{} = {value}{origin}", key.name);
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Environment, read};

    #[test]
    fn the_page_in_the_repository_is_the_one_the_table_makes() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(page == markdown(), "run `progress-service config docs > docs/configuration.md`");
    }

    #[test]
    fn showing_hides_secrets_and_names_origins() {
        let environment =
            Environment::of([("PROGRESS_DATABASE_URL", "postgres://u:hunter2@h/d"), ("PROGRESS_LOG", "debug")]);
        let shown = show(&read(&environment, Path::new("/nowhere")).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("database.url = [redacted]  # PROGRESS_DATABASE_URL"), "{shown}");
        assert!(shown.contains("log = debug  # PROGRESS_LOG"), "{shown}");
        assert!(shown.contains("kafka.sasl_password = (none)\n"), "{shown}");
    }
}
