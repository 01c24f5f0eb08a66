//! An error with its causes in one line, each said once.

use std::error::Error;

/// Some errors repeat their cause in their own words and some hide it: a cause is added where it was not said yet.
pub fn in_one_line(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Outer {
        #[error("the file cannot be read: {source}")]
        Repeats { source: io::Error },
        #[error("the file cannot be read")]
        Hides { source: io::Error },
        #[error(transparent)]
        Passes(io::Error),
    }

    #[test]
    fn a_cause_is_said_once_whoever_says_it() {
        let cause = || io::Error::other("no such disk");
        for error in [Outer::Repeats { source: cause() }, Outer::Hides { source: cause() }] {
            assert_eq!(in_one_line(&error), "the file cannot be read: no such disk");
        }
        assert_eq!(in_one_line(&Outer::Passes(cause())), "no such disk");
    }
}
