//! Messages for eyes outside: without what could be somebody's.

/// A message without what could be somebody's: quoted texts, addresses, and what has an `@`.
pub fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // Every second piece stands between quotes, and so does one that is never closed.
    for (place, piece) in text.split(['"', '\'', '`', '“', '”']).enumerate() {
        if place % 2 == 1 {
            out.push('…');
            continue;
        }
        for word in piece.split_inclusive(char::is_whitespace) {
            // A sign of its own is one of a number, in the middle of a word it hides a letter of an address.
            let hides = word.trim_end_matches(|c: char| !c.is_alphanumeric()).contains('%');
            let is_somebodys = word.contains('@') || word.contains("://") || hides;
            out.push_str(if is_somebodys { "… " } else { word });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_somebodys_is_not_told() {
        for (text, told) in [
            ("relation is away", "relation is away"),
            ("Key (mbox)=(mailto:ann@example.com) exists", "Key … exists"),
            ("no tenant \"acme\" there", "no tenant … there"),
            ("of 'ann", "of …"),
            ("see https://lms.example/ann now", "see … now"),
            ("of ann%40example.com now", "of … now"),
            ("errors: 5.00 % of all, 1.00 %, 3%", "errors: 5.00 % of all, 1.00 %, 3%"),
            ("3 files; it's ann", "3 files; it…"),
        ] {
            assert_eq!(masked(text), told, "{text}");
        }
    }
}
