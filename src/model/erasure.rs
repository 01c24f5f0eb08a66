//! An erasure: its states, and what a tenant decides about it. Pure.

use serde::{Deserialize, Serialize};

/// An enumeration with the names under which it is kept.
macro_rules! named {
    ($(#[$about:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$of])* $variant),+ }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let names: Vec<&str> = Self::ALL.iter().map(|one| one.name()).collect();
                Self::parse(text).ok_or_else(|| format!("{text} is none of {}", names.join(", ")))
            }
        }
    };
}

named! {
    /// How far a request is.
    State {
        Requested = "requested",
        /// The law says no, and so did whoever asked for this answer.
        Refused = "refused",
        /// The law keeps it; it is hidden meanwhile.
        Queued = "queued",
        /// Nobody is shown it any more; it is being removed.
        Hidden = "hidden",
        Erased = "erased",
    }
}

named! {
    /// What becomes of statements that only mention the person: as instructor, member of a group, authority or team.
    Mentions { Redact = "redact", Keep = "keep", Delete = "delete" }
}

named! {
    /// What becomes of what the same person does later.
    Arrivals {
        /// It is erased as it arrives.
        Erase = "erase",
        /// It counts as a new consent.
        Accept = "accept",
    }
}

named! {
    /// What a request becomes that a law stands against.
    OnHold { Queue = "queue", Refuse = "refuse" }
}

/// What a tenant, or a request, decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    pub mentions: Mentions,
    pub arrivals: Arrivals,
    pub on_hold: OnHold,
}

impl Default for Policy {
    fn default() -> Self {
        Self { mentions: Mentions::Redact, arrivals: Arrivals::Erase, on_hold: OnHold::Queue }
    }
}

impl Policy {
    /// The same, where a request decides nothing else; what is wrong is named.
    pub fn but(self, mentions: Option<&str>, arrivals: Option<&str>, on_hold: Option<&str>) -> Result<Self, String> {
        let named = |name: &'static str| move |why: String| format!("{name}: {why}");
        let mentions = mentions.map(str::parse).transpose().map_err(named("mentions"))?;
        let arrivals = arrivals.map(str::parse).transpose().map_err(named("arrivals"))?;
        let on_hold = on_hold.map(str::parse).transpose().map_err(named("onHold"))?;
        Ok(Self {
            mentions: mentions.unwrap_or(self.mentions),
            arrivals: arrivals.unwrap_or(self.arrivals),
            on_hold: on_hold.unwrap_or(self.on_hold),
        })
    }
}

impl State {
    /// Whether nothing more comes of it.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Refused | Self::Erased)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_known_by_its_name() {
        assert!(State::ALL.iter().all(|one| State::parse(one.name()) == Some(*one)));
        assert!(Mentions::ALL.iter().all(|one| one.name().parse::<Mentions>() == Ok(*one)));
        assert_eq!("burn".parse::<Mentions>(), Err("burn is none of redact, keep, delete".to_owned()));
        assert_eq!(serde_json::to_value(Policy::default()).unwrap()["onHold"], "queue");
    }

    #[test]
    fn a_request_decides_what_it_says_and_leaves_the_rest() {
        let decided = Policy::default().but(Some("keep"), None, Some("refuse")).unwrap();
        assert_eq!(decided, Policy { mentions: Mentions::Keep, on_hold: OnHold::Refuse, ..Policy::default() });
        let wrong = Policy::default().but(None, Some("burn"), None).unwrap_err();
        assert_eq!(wrong, "arrivals: burn is none of erase, accept");
    }
}
