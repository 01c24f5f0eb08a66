//! The logins: names with what they may see and a verifier, in a TOML file that is read at each login, so that a change holds
//! at once.

use std::path::{Path, PathBuf};

use anyhow::Context;
use progress_service::model::TenantId;
use serde::Deserialize;
use uuid::Uuid;

use super::scram::Verifier;
use crate::data::reach::Reach;

#[derive(Clone, Debug)]
pub struct Logins {
    file: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    login: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    tenant: Option<Uuid>,
    installation: Option<Uuid>,
    verifier: String,
}

impl Logins {
    /// Looks whether the file can be used.
    pub fn open(file: &Path) -> anyhow::Result<Self> {
        let logins = Self { file: file.to_owned() };
        let all = logins.all()?;
        anyhow::ensure!(!all.is_empty(), "{} has no login: nobody could connect", file.display());
        Ok(logins)
    }

    /// `None`: nobody has this name.
    pub fn find(&self, name: &str) -> anyhow::Result<Option<(Reach, Verifier)>> {
        let all = self.all()?;
        Ok(all.into_iter().find(|(known, ..)| known == name).map(|(_, reach, verifier)| (reach, verifier)))
    }

    fn all(&self) -> anyhow::Result<Vec<(String, Reach, Verifier)>> {
        let file = self.file.display();
        let text =
            std::fs::read_to_string(&self.file).with_context(|| format!("the logins in {file} cannot be read"))?;
        // What the parser says may quote a line, and a line may be a verifier.
        let written: Written = toml::from_str(&text).map_err(|error: toml::de::Error| {
            anyhow::anyhow!("the logins in {file} cannot be read: {}", error.message())
        })?;
        let mut all: Vec<(String, Reach, Verifier)> = Vec::new();
        for entry in written.login {
            let reach = match (entry.tenant, entry.installation) {
                (Some(tenant), None) => Reach::Tenant(TenantId(tenant)),
                (None, Some(installation)) => Reach::Installation(installation),
                _ => anyhow::bail!("login {:?} in {file} needs a tenant or an installation, not both", entry.name),
            };
            let verifier = entry.verifier.parse();
            let verifier = verifier.map_err(|why| anyhow::anyhow!("login {:?} in {file}: {why}", entry.name))?;
            anyhow::ensure!(
                all.iter().all(|(name, ..)| *name != entry.name),
                "login {:?} stands twice in {file}",
                entry.name
            );
            all.push((entry.name, reach, verifier));
        }
        Ok(all)
    }
}

/// How a login stands in the file.
pub fn entry(name: &str, reach: &Reach, verifier: &Verifier) -> String {
    let reach = match reach {
        Reach::Tenant(tenant) => format!("tenant = \"{tenant}\""),
        Reach::Installation(installation) => format!("installation = \"{installation}\""),
    };
    format!("[[login]]\nname = {}\n{reach}\nverifier = \"{verifier}\"\n", toml::Value::from(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logins(text: &str) -> anyhow::Result<Logins> {
        let dir = tempfile::tempdir().unwrap().keep();
        let file = dir.join("logins.toml");
        std::fs::write(&file, text).unwrap();
        Logins::open(&file)
    }

    #[test]
    fn what_is_printed_can_be_read() {
        let (tenant, installation) =
            (Reach::Tenant(TenantId(Uuid::from_u128(1))), Reach::Installation(Uuid::from_u128(2)));
        let verifier = Verifier::of("x", [1; 16]);
        let text =
            format!("{}\n{}", entry("ann \"a\"", &tenant, &verifier), entry("archive", &installation, &verifier));
        let logins = logins(&text).unwrap();
        assert_eq!(logins.find("ann \"a\"").unwrap().unwrap().0, tenant);
        assert_eq!(logins.find("archive").unwrap().unwrap(), (installation, verifier));
        assert!(logins.find("nobody").unwrap().is_none());
    }

    #[test]
    fn a_file_that_is_wrong_says_where_and_shows_no_secret() {
        let good = entry("a", &Reach::Tenant(TenantId(Uuid::from_u128(1))), &Verifier::of("x", [1; 16]));
        let cases = [
            (String::new(), "nobody could connect"),
            (format!("{good}\n{good}"), "twice"),
            (good.replace("tenant", "tennant"), "unknown field"),
            (good.lines().filter(|line| !line.starts_with("tenant")).collect::<Vec<_>>().join("\n"), "needs a tenant"),
            (good.replace("SCRAM-SHA-256", "plain"), "a verifier looks like"),
            (good.replace("verifier = \"", "verifier = \"\\x"), "cannot be read"),
        ];
        for (text, why) in cases {
            let error = format!("{:#}", logins(&text).unwrap_err());
            assert!(error.contains(why) && !error.contains("AQEBAQ"), "{error}");
        }
    }
}
