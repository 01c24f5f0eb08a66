//! `SELECT … INTO variable` and its kin: plpgsql takes the target out before it reads the statement, and so do we.

use super::super::statements::tokens;

/// The text with the targets of INTO blanked out, of the same length and with the same lines.
pub(super) fn without_targets(text: &str) -> String {
    let all: Vec<(usize, &str)> = tokens(text).collect();
    let mut bytes = text.as_bytes().to_vec();
    // The word that says which statement it is: FETCH and EXECUTE keep their INTO.
    let (mut lead, mut before) = (String::new(), String::new());
    for (at, (from, token)) in all.iter().enumerate() {
        let word = token.to_lowercase();
        if matches!(word.as_str(), "select" | "insert" | "update" | "delete" | "merge" | "fetch" | "execute" | "values")
        {
            lead.clone_from(&word);
        }
        let is_target = word == "into"
            && !matches!(before.as_str(), "insert" | "merge")
            && !matches!(lead.as_str(), "" | "fetch" | "execute");
        if is_target && let Some((last, name)) = target_end(&all, at).and_then(|end| all.get(end)) {
            let to = last + name.len();
            bytes[*from..to].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        }
        before = word;
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// The last token of `[STRICT] name[.field][[index]], …` after the INTO at `at`.
fn target_end(all: &[(usize, &str)], at: usize) -> Option<usize> {
    let token = |n: usize| all.get(n).map(|(_, token)| *token);
    let mut next = at + 1;
    if token(next)?.eq_ignore_ascii_case("strict") {
        next += 1;
    }
    loop {
        // A name, then its fields and places.
        next += 1;
        while let Some(sign @ ("." | "[")) = token(next) {
            next = match sign {
                "." => next + 2,
                _ => next + 1 + all.get(next..)?.iter().position(|(_, token)| *token == "]")?,
            };
        }
        if token(next) != Some(",") {
            return Some(next - 1);
        }
        next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_blanked_and_nothing_else() {
        for (text, left) in [
            ("SELECT a INTO x FROM t;", "SELECT a FROM t;"),
            ("SELECT a, b INTO STRICT x, r.y FROM t WHERE c;", "SELECT a, b FROM t WHERE c;"),
            ("SELECT INTO x[1], y a, b FROM t;", "SELECT a, b FROM t;"),
            ("INSERT INTO t VALUES (1) RETURNING a INTO x;", "INSERT INTO t VALUES (1) RETURNING a ;"),
            ("UPDATE t SET a = 1 RETURNING b INTO \"X\";", "UPDATE t SET a = 1 RETURNING b ;"),
            ("FETCH c INTO x; EXECUTE 'q' INTO y;", "FETCH c INTO x; EXECUTE 'q' INTO y;"),
            ("SELECT 'a INTO x';", "SELECT 'a INTO x';"),
        ] {
            let blanked = without_targets(text);
            assert_eq!(blanked.len(), text.len());
            assert_eq!(blanked.split_whitespace().collect::<Vec<_>>().join(" "), left);
        }
        assert_eq!(without_targets("SELECT a INTO\n x FROM t").matches('\n').count(), 1);
    }
}
