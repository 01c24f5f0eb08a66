//! The known name that a mistyped one most likely meant.

/// The candidate with the fewest edits, unless even that one is too far to be a slip of the hand.
pub fn nearest(typed: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    let allowed = (typed.len() / 3).max(1);
    candidates
        .map(|name| (distance(typed, &name), name))
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
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
}
