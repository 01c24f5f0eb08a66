//! From text to a typed value: what each kind of key accepts, and how its refusal reads.

use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use crate::model::{Secret, scheme::Scheme};

/// A type that a configuration key may have. All sources are text in the end, so this is the one way in.
pub trait Setting: Sized {
    /// What the documentation calls this kind of value.
    const KIND: &'static str;
    /// Whether the value must never be shown.
    const SECRET: bool = false;

    /// Parses the text of any source; the error says what was expected.
    fn parse(text: &str) -> Result<Self, String>;
}

impl Setting for String {
    const KIND: &'static str = "text";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl Setting for PathBuf {
    const KIND: &'static str = "path";

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("expected a path".to_owned()) } else { Ok(Self::from(text)) }
    }
}

impl Setting for Secret {
    const KIND: &'static str = "secret";
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self::new(text))
    }
}

impl Setting for SocketAddr {
    const KIND: &'static str = "address:port";

    fn parse(text: &str) -> Result<Self, String> {
        let text = text.replacen("localhost:", "127.0.0.1:", 1);
        text.parse().map_err(|_| "expected an IP address and port, such as 127.0.0.1:8080 or [::]:8080".to_owned())
    }
}

impl Setting for bool {
    const KIND: &'static str = "true or false";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("expected true or false".to_owned()),
        }
    }
}

impl Setting for Scheme {
    const KIND: &'static str = "monthly, weekly, daily or tenants-N";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
    }
}

/// Whole numbers share one parser; each width refuses what does not fit it.
fn number<N: FromStr>(text: &str) -> Result<N, String> {
    text.replace('_', "").parse().map_err(|_| "expected a whole number in range".to_owned())
}

impl Setting for usize {
    const KIND: &'static str = "number";

    fn parse(text: &str) -> Result<Self, String> {
        number(text)
    }
}

impl Setting for u32 {
    const KIND: &'static str = "number";

    fn parse(text: &str) -> Result<Self, String> {
        number(text)
    }
}

impl Setting for Duration {
    const KIND: &'static str = "duration";

    fn parse(text: &str) -> Result<Self, String> {
        let expected = || "expected a duration such as 250ms, 30s, 5m, 12h or 7d".to_owned();
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(expected)?;
        let (amount, unit) = text.split_at(digits);
        let amount: u64 = amount.parse().map_err(|_| expected())?;
        let seconds = match unit {
            "ms" => return Ok(Self::from_millis(amount)),
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(expected()),
        };
        amount.checked_mul(seconds).map(Self::from_secs).ok_or_else(expected)
    }
}

/// A number of bytes, written `16MiB`, `512KiB` or plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub usize);

impl Setting for ByteSize {
    const KIND: &'static str = "size";

    fn parse(text: &str) -> Result<Self, String> {
        let expected = || "expected a size such as 65536, 512KiB, 16MiB or 1GiB".to_owned();
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (amount, unit) = text.split_at(split);
        let shift = match unit {
            "" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            _ => return Err(expected()),
        };
        let amount: usize = amount.parse().map_err(|_| expected())?;
        amount.checked_mul(1 << shift).map(Self).ok_or_else(expected)
    }
}

/// A part of a whole, from nothing to all of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio(pub f64);

impl Setting for Ratio {
    const KIND: &'static str = "number from 0 to 1";

    fn parse(text: &str) -> Result<Self, String> {
        let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        ratio.map(Self).ok_or_else(|| "expected a number from 0 to 1, such as 0.05".to_owned())
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    Json,
    /// Readable lines, for people.
    Pretty,
}

impl Setting for LogFormat {
    const KIND: &'static str = "json or pretty";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "json" => Ok(Self::Json),
            "pretty" => Ok(Self::Pretty),
            _ => Err("expected json or pretty".to_owned()),
        }
    }
}

/// How the service proves itself to the brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sasl {
    Plain,
    ScramSha256,
    ScramSha512,
}

impl Sasl {
    /// The mechanism's registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl Setting for Sasl {
    const KIND: &'static str = "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512";

    fn parse(text: &str) -> Result<Self, String> {
        [Self::Plain, Self::ScramSha256, Self::ScramSha512]
            .into_iter()
            .find(|mechanism| mechanism.name() == text)
            .ok_or_else(|| format!("expected {}", Self::KIND))
    }
}

/// An empty text means "not set".
impl<T: Setting> Setting for Option<T> {
    const KIND: &'static str = T::KIND;
    const SECRET: bool = T::SECRET;

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { T::parse(text).map(Some) }
    }
}

/// Items separated by commas; in the file an array.
impl Setting for Vec<String> {
    const KIND: &'static str = "list";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
    }
}

/// Folders, separated as the system separates paths (`:`, on Windows `;`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathList(pub Vec<PathBuf>);

impl Setting for PathList {
    const KIND: &'static str = "paths, separated by `:`";

    fn parse(text: &str) -> Result<Self, String> {
        let paths: Vec<PathBuf> = std::env::split_paths(text).filter(|path| !path.as_os_str().is_empty()).collect();
        match (0..paths.len()).find(|at| paths[..*at].contains(&paths[*at])) {
            Some(at) => Err(format!("{} is there twice", paths[at].display())),
            None => Ok(Self(paths)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(Duration::parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(Duration::parse("2h"), Ok(Duration::from_secs(7_200)));
        for text in ["", "10", "s", "-1s", "1.5s", "1w", "99999999999999999999s", "18446744073709551615d"] {
            assert!(Duration::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn sizes_are_binary_and_bounded() {
        assert_eq!(ByteSize::parse("16MiB"), Ok(ByteSize(16 << 20)));
        assert_eq!(ByteSize::parse("12"), Ok(ByteSize(12)));
        for text in ["", "MiB", "1MB", "-1", "99999999999999999999"] {
            assert!(ByteSize::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_empty_text_is_absent_and_a_list_drops_empty_items() {
        assert_eq!(Option::<u32>::parse(""), Ok(None));
        assert_eq!(Option::<u32>::parse("7"), Ok(Some(7)));
        assert_eq!(Vec::<String>::parse("a, b,,"), Ok(vec!["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn a_path_list_is_split_as_the_system_does_it() {
        let list = |text| PathList::parse(text).map(|list| list.0.len());
        assert_eq!((list(""), list("/a"), list("/a::/b:")), (Ok(0), Ok(1), Ok(2)));
        assert!(list("/a:/b:/a").is_err());
    }

    #[test]
    fn addresses_take_localhost_and_port_zero() {
        assert_eq!(SocketAddr::parse("localhost:0"), Ok(SocketAddr::from(([127, 0, 0, 1], 0))));
        assert!(SocketAddr::parse("8080").is_err());
    }
}
