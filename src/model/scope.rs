//! What a credential may do: the xAPI scopes and those of the internal API.

use std::{fmt, str::FromStr};

/// One permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    StatementsWrite,
    StatementsRead,
    StatementsReadMine,
    /// To void what another authority stored; one's own takes `statements/write` alone.
    StatementsVoid,
    State,
    Define,
    Profile,
    AllRead,
    All,
    ApiStatementWrite,
    ApiStatementRead,
    ApiTranscriptRead,
    /// To read the audit trail of one's tenant, and in the default one that of the whole installation.
    AuditRead,
    Admin,
}

const NAMES: [(Scope, &str); 14] = [
    (Scope::StatementsWrite, "statements/write"),
    (Scope::StatementsRead, "statements/read"),
    (Scope::StatementsReadMine, "statements/read/mine"),
    (Scope::StatementsVoid, "statements/void"),
    (Scope::State, "state"),
    (Scope::Define, "define"),
    (Scope::Profile, "profile"),
    (Scope::AllRead, "all/read"),
    (Scope::All, "all"),
    (Scope::ApiStatementWrite, "statement:write"),
    (Scope::ApiStatementRead, "statement:read"),
    (Scope::ApiTranscriptRead, "transcript:read"),
    (Scope::AuditRead, "audit:read"),
    (Scope::Admin, "admin:*"),
];

impl Scope {
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(scope, _)| *scope == self).map_or("", |(_, name)| name)
    }

    /// Every scope there is, in the order the documentation lists them.
    pub fn every() -> impl Iterator<Item = Scope> {
        NAMES.iter().map(|(scope, _)| *scope)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown scope {0:?}; known are {known}", known = NAMES.map(|(_, name)| name).join(", "))]
pub struct UnknownScope(pub String);

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        NAMES
            .iter()
            .find(|(_, name)| *name == text)
            .map(|(scope, _)| *scope)
            .ok_or_else(|| UnknownScope(text.chars().take(80).collect()))
    }
}

/// A set of scopes, in the order they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Self {
        let mut all = Vec::new();
        for scope in scopes {
            if !all.contains(&scope) {
                all.push(scope);
            }
        }
        Self(all)
    }

    /// Parses names separated by spaces or commas, as in a JWT's `scope` claim or on a command line.
    pub fn parse(text: &str) -> Result<Self, UnknownScope> {
        let names = text.split([' ', ',']).filter(|name| !name.is_empty());
        Ok(Self::new(names.map(str::parse).collect::<Result<Vec<Scope>, _>>()?))
    }

    /// Whether exactly this scope was granted; see `allows` for what it implies.
    pub fn holds(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// Whether the set grants what `scope` asks, by itself or through a wider one.
    pub fn allows(&self, scope: Scope) -> bool {
        self.holds(scope) || wider(scope).iter().any(|wide| self.holds(*wide))
    }

    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|scope| scope.name()).collect()
    }
}

/// The scopes that include `scope`. `all` covers xAPI only: the internal API has its own.
fn wider(scope: Scope) -> &'static [Scope] {
    match scope {
        Scope::StatementsRead => &[Scope::AllRead, Scope::All],
        Scope::StatementsReadMine => &[Scope::StatementsRead, Scope::AllRead, Scope::All],
        Scope::StatementsWrite
        | Scope::StatementsVoid
        | Scope::State
        | Scope::Define
        | Scope::Profile
        | Scope::AllRead => &[Scope::All],
        Scope::All | Scope::Admin => &[],
        Scope::ApiStatementWrite | Scope::ApiStatementRead | Scope::ApiTranscriptRead | Scope::AuditRead => {
            &[Scope::Admin]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for scope in Scope::every() {
            assert_eq!(scope.name().parse::<Scope>().unwrap(), scope);
        }
        assert!("nonsense".parse::<Scope>().unwrap_err().to_string().contains("statements/write"));
    }

    #[test]
    fn all_covers_xapi_but_not_administration() {
        let all = Scopes::parse("all").unwrap();
        assert!(all.allows(Scope::StatementsWrite) && all.allows(Scope::Profile));
        assert!(!all.allows(Scope::Admin) && !all.allows(Scope::ApiTranscriptRead));
    }

    #[test]
    fn reading_mine_does_not_read_others() {
        let mine = Scopes::parse("statements/read/mine").unwrap();
        assert!(!mine.allows(Scope::StatementsRead));
        assert!(Scopes::parse("all/read").unwrap().allows(Scope::StatementsReadMine));
    }
}
