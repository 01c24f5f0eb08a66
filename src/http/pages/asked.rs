//! What people type, as xAPI wants it, how that is shown to them, and how the same is asked by a command. Pure.

use serde_json::json;

use crate::xapi::keys::Ifi;

/// An address of mail is an Agent; anything else is what it says.
pub fn agent(text: &str) -> String {
    if text.starts_with('{') || !text.contains('@') {
        return text.to_owned();
    }
    let address = text.strip_prefix("mailto:").unwrap_or(text);
    json!({ "mbox": format!("mailto:{address}") }).to_string()
}

/// Somebody by what identifies them.
pub fn whose(of: Option<Ifi>) -> String {
    match of {
        Some(Ifi::Mbox(text) | Ifi::MboxSha1sum(text) | Ifi::OpenId(text)) => text,
        Some(Ifi::Account { home_page, name }) => format!("{name} at {home_page}"),
        None => "–".to_owned(),
    }
}

/// How the same is asked over the API. The secret is asked for by `curl` itself.
pub fn curl(url: &str, given: &[(String, String)]) -> String {
    let mut text = "curl --get --user KEY --header 'X-Experience-API-Version: 1.0.3'".to_owned();
    for (name, value) in given {
        let value = value.replace('\'', "'\\''");
        text.push_str(&format!(" \\\n  --data-urlencode '{name}={value}'"));
    }
    text.push_str(&format!(" \\\n  '{url}'"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_survives_what_was_typed() {
        let text = curl("http://x/xapi/statements", &[("verb".to_owned(), "a'; rm -rf '".to_owned())]);
        assert!(text.contains(r"--data-urlencode 'verb=a'\''; rm -rf '\'''"), "{text}");
    }

    #[test]
    fn an_address_of_mail_is_an_agent() {
        assert_eq!(agent("mailto:ada@example.org"), r#"{"mbox":"mailto:ada@example.org"}"#);
        assert_eq!(agent("ada@example.org"), r#"{"mbox":"mailto:ada@example.org"}"#);
        let account = r#"{"account": {"homePage": "https://x.example", "name": "ada@x"}}"#;
        assert_eq!(agent(account), account);
        assert_eq!(agent("nonsense"), "nonsense");
    }
}
