//! The known name that a mistyped one most likely meant.

/// How every variable begins.
const SHARED: &str = "PROGRESS_";

/// The candidate with the fewest edits, unless even that one is too far to be a slip of the hand; else the only one of
/// which `typed` is the beginning or the end. What all names share (`PROGRESS_`) says nothing and does not count.
pub fn nearest(typed: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    let own = |name: &str| name.strip_prefix(SHARED).unwrap_or(name).to_owned();
    let typed = own(typed);
    let allowed = (typed.len() / 4).max(1);
    let candidates: Vec<String> = candidates.collect();
    let edits = candidates.iter().map(|name| (distance(&typed, &own(name)), name));
    let slip = edits.filter(|(edits, _)| *edits <= allowed).min_by_key(|(edits, _)| *edits);
    let name = slip.map(|(_, name)| name).or_else(|| {
        let mut longer = candidates.iter().filter(|name| is_part(&typed, &own(name)));
        longer.next().filter(|_| longer.next().is_none())
    });
    name.cloned()
}

/// Whether whole words of `name`, at its beginning or its end, are `typed`.
fn is_part(typed: &str, name: &str) -> bool {
    let words = ['_', '.'];
    !typed.is_empty()
        && (name.strip_prefix(typed).is_some_and(|rest| rest.starts_with(words))
            || name.strip_suffix(typed).is_some_and(|rest| rest.ends_with(words)))
}

/// Levenshtein's distance, one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replace = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn suggests_the_closest_and_nothing_far_away() {
        let known = || ["database.url", "kafka.brokers"].into_iter().map(str::to_owned);
        assert_eq!(nearest("databse.url", known()).as_deref(), Some("database.url"));
        assert_eq!(nearest("zzz", known()), None);
    }

    #[test]
    fn what_all_variables_begin_with_makes_no_two_alike() {
        let known = ["LOG", "LISTEN", "TLS_CERT_FILE", "TLS_KEY_FILE", "TLS_RELOAD", "DATABASE_POOL_SIZE"];
        let near = |typed: &str| {
            nearest(&format!("PROGRESS_{typed}"), known.iter().map(|name| format!("PROGRESS_{name}")))
                .map(|name| name.trim_start_matches("PROGRESS_").to_owned())
        };
        for (typed, meant) in [
            ("LGO", None),
            ("FOO", None),
            ("DB", None),
            ("LOGS", Some("LOG")),
            ("LISTN", Some("LISTEN")),
            ("TLS_CERT", Some("TLS_CERT_FILE")),
            ("POOL_SIZE", Some("DATABASE_POOL_SIZE")),
            ("TLS", None),
        ] {
            assert_eq!(near(typed).as_deref(), meant, "{typed}");
        }
    }
}
