//! The other LRSs that statements are forwarded to, as the configuration names them. Pure.

use super::cells::is_name;
use crate::model::Secret;

/// Another LRS, and the login for it.
#[derive(Clone, Debug)]
pub struct Target {
    pub name: String,
    /// What stands before `/statements`, without a slash at its end.
    pub endpoint: String,
    pub key: String,
    pub secret: Secret,
}

/// Reads `NAME ENDPOINT KEY:SECRET`, one target after the other, with a semicolon or a new line between them.
pub fn read(text: &str) -> Result<Vec<Target>, String> {
    let mut targets: Vec<Target> = Vec::new();
    for entry in text.split([';', '\n']).map(str::trim).filter(|entry| !entry.is_empty()) {
        let number = targets.len() + 1;
        let words: Vec<&str> = entry.split_whitespace().collect();
        let [name, endpoint, login] = words[..] else {
            return Err(format!("target {number}: expected its name, its xAPI endpoint and key:secret"));
        };
        if !is_name(name) {
            return Err(format!("target {number}: a name has 1 to 63 of a-z, 0-9 and '-'"));
        }
        let is_web = |url: &url::Url| matches!(url.scheme(), "http" | "https") && url.username().is_empty();
        if !url::Url::parse(endpoint).is_ok_and(|url| is_web(&url)) {
            return Err(format!("target {name}: its endpoint is no http(s) address without a login"));
        }
        let Some((key, secret)) = login.split_once(':') else {
            return Err(format!("target {name}: its login is not key:secret"));
        };
        if targets.iter().any(|target| target.name == name) {
            return Err(format!("target {name} is named twice"));
        }
        let (name, endpoint) = (name.to_owned(), endpoint.trim_end_matches('/').to_owned());
        targets.push(Target { name, endpoint, key: key.to_owned(), secret: Secret::new(secret) });
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_by_line_and_by_semicolon() {
        let text = "partner https://lrs.example/xapi/ key:hunter2:x ; own http://10.0.0.1/xapi k:\n";
        let targets = read(text).unwrap();
        let seen: Vec<_> =
            targets.iter().map(|one| (one.name.as_str(), one.endpoint.as_str(), one.key.as_str())).collect();
        assert_eq!(seen, [("partner", "https://lrs.example/xapi", "key"), ("own", "http://10.0.0.1/xapi", "k")]);
        assert_eq!(targets[0].secret.expose(), "hunter2:x");
        assert!(!format!("{targets:?}").contains("hunter2"));
        assert!(read(" \n;").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_target_is_refused_without_its_secret() {
        for (wrong, words) in [
            ("partner https://lrs.example/xapi", "expected its name"),
            ("Partner https://lrs.example/xapi k:hunter2", "a name has"),
            ("partner lrs.example/xapi k:hunter2", "no http"),
            ("partner https://k:hunter2@lrs.example/xapi k:hunter2", "without a login"),
            ("partner https://lrs.example/xapi hunter2", "not key:secret"),
            ("a https://a.example k:hunter2; a https://b.example k:hunter2", "twice"),
        ] {
            let why = read(wrong).unwrap_err();
            assert!(why.contains(words) && !why.contains("hunter2"), "{why}");
        }
    }
}
