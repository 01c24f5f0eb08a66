//! Who may be told of rollouts over HTTP, as the configuration names them. Pure.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use url::{Host, Url};

use super::cells::is_name;
use crate::model::Secret;

/// What a plan calls the topic of events, and no receiver therefore.
pub const EVENTS: &str = "events";
/// How a secret may begin, by the custom of webhooks.
const MARK: &str = "whsec_";
/// Bytes of a secret: what is shorter can be guessed.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// A receiver.
#[derive(Clone, Debug)]
pub struct Receiver {
    pub name: String,
    /// Where it listens: some addresses are a secret by themselves.
    pub url: Secret,
    /// What its messages are signed with.
    pub secret: Option<Secret>,
}

impl Receiver {
    /// The bytes of its secret.
    pub fn key(&self) -> Option<Vec<u8>> {
        self.secret.as_ref().and_then(|secret| bytes(secret.expose()))
    }
}

/// Reads `NAME URL` or `NAME URL SECRET`, one receiver after the other, with a semicolon or a new line between them.
pub fn read(text: &str) -> Result<Vec<Receiver>, String> {
    let mut receivers: Vec<Receiver> = Vec::new();
    for entry in text.split([';', '\n']).map(str::trim).filter(|entry| !entry.is_empty()) {
        let words: Vec<&str> = entry.split_whitespace().collect();
        let (name, url, secret) = match words[..] {
            [name, url] => (name, url, None),
            [name, url, secret] => (name, url, Some(secret)),
            _ => {
                return Err(format!(
                    "receiver {}: expected its name, its URL and perhaps a secret",
                    receivers.len() + 1
                ));
            }
        };
        if !is_name(name) {
            return Err(format!("receiver {}: a name has 1 to 63 of a-z, 0-9 and '-'", receivers.len() + 1));
        }
        let fault = |why: &str| Err(format!("receiver {name}: {why}"));
        if name == EVENTS {
            return fault("that name stands for the topic of events");
        }
        if let Err(why) = is_fit(url) {
            return fault(why);
        }
        if secret.is_some_and(|secret| bytes(secret).is_none()) {
            return fault("its secret is not 24 to 64 bytes in base64, such as `openssl rand -base64 32` makes");
        }
        if receivers.iter().any(|receiver| receiver.name == name) {
            return fault("is named twice");
        }
        receivers.push(Receiver { name: name.to_owned(), url: Secret::new(url), secret: secret.map(Secret::new) });
    }
    Ok(receivers)
}

fn bytes(secret: &str) -> Option<Vec<u8>> {
    let decoded = STANDARD.decode(secret.strip_prefix(MARK).unwrap_or(secret)).ok()?;
    LENGTHS.contains(&decoded.len()).then_some(decoded)
}

/// What is told goes over TLS, or stays on a network of one's own.
pub(super) fn is_fit(text: &str) -> Result<(), &'static str> {
    let no_url = "its URL is no http(s) address without a login";
    let url = Url::parse(text).map_err(|_| no_url)?;
    let has_login = !url.username().is_empty() || url.password().is_some();
    match (url.scheme(), url.host()) {
        _ if has_login => Err(no_url),
        ("https", Some(_)) => Ok(()),
        ("http", Some(host)) if is_near(&host) => Ok(()),
        ("http", Some(_)) => Err("http:// reaches only hosts of a private network: use https://"),
        _ => Err(no_url),
    }
}

/// This machine, a private address, or a name that no public name server knows.
fn is_near(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(ip) => ip.is_loopback() || ip.is_private(),
        Host::Ipv6(ip) => ip.is_loopback() || ip.is_unique_local(),
        Host::Domain(name) => !name.contains('.') || [".internal", ".local"].iter().any(|end| name.ends_with(end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg==";

    #[test]
    fn receivers_are_read_with_and_without_a_secret() {
        let text = format!(
            "ops https://hooks.example/a?b=c {SECRET} ; chat http://10.0.0.1:9/x\nown http://localhost whsec_{SECRET};
             box http://bridge:8080/; six http://[::1]/; home http://hooks.internal/"
        );
        let receivers = read(&text).unwrap();
        let names: Vec<_> = receivers.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["ops", "chat", "own", "box", "six", "home"]);
        let expected = b"hunter2hunter2hunter2hunter2".to_vec();
        assert_eq!(
            (receivers[0].key(), receivers[1].key(), receivers[2].key()),
            (Some(expected.clone()), None, Some(expected))
        );
        assert_eq!(receivers[0].url.expose(), "https://hooks.example/a?b=c");
        let shown = format!("{receivers:?}");
        assert!(!shown.contains("aHVudGVy") && !shown.contains("hooks.example"), "{shown}");
        assert!(read(" \n;").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_receiver_is_refused_by_its_rule_and_without_its_secret() {
        for (wrong, words) in [
            ("ops", "expected its name"),
            ("ops https://a.example aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg== more", "expected its name"),
            ("Ops https://a.example", "a name has"),
            ("events https://a.example", "topic of events"),
            ("ops a.example/hunter2", "no http(s) address"),
            ("ops ftp://a.example/hunter2", "no http(s) address"),
            ("ops https://u:hunter2@a.example", "without a login"),
            ("ops http://hooks.example/hunter2", "use https://"),
            ("ops http://8.8.8.8/hunter2", "use https://"),
            ("ops http://[2001:db8::1]/hunter2", "use https://"),
            ("ops https://a.example hunter2", "24 to 64 bytes"),
            ("ops https://a.example aHVudGVyMg==", "24 to 64 bytes"),
            ("ops https://a.example; ops https://b.example", "twice"),
        ] {
            let why = read(wrong).unwrap_err();
            assert!(why.contains(words) && !why.contains("hunter2") && !why.contains("aHVudGVy"), "{wrong}: {why}");
        }
    }
}
