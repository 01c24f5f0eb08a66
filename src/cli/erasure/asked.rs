//! What is asked on the command line: who it is about, and what is decided for this request.

use crate::{
    erasure::Subject,
    model::erasure::{Arrivals, Mentions, OnHold, Policy},
    xapi::keys::Ifi,
};

/// One person, under as many identifiers as are known.
#[derive(Clone, clap::Args)]
pub struct Who {
    /// Id or name of the tenant
    #[arg(long, default_value = "default")]
    pub tenant: String,
    /// Such as mailto:ann@example.com; may be given more than once
    #[arg(long)]
    mbox: Vec<String>,
    /// SHA-1 of a mailbox with mailto:, in hexadecimal; may be given more than once
    #[arg(long)]
    sha1: Vec<String>,
    /// An OpenID; may be given more than once
    #[arg(long)]
    openid: Vec<String>,
    /// Home page and name of an account, with | between them; may be given more than once
    #[arg(long)]
    account: Vec<String>,
    /// Id of the platform, or the pseudonym of an attempt; may be given more than once
    #[arg(long)]
    user: Vec<String>,
}

impl Who {
    pub fn is_nobody(&self) -> bool {
        [&self.mbox, &self.sha1, &self.openid, &self.account, &self.user].iter().all(|given| given.is_empty())
    }

    pub fn subject(&self) -> anyhow::Result<Subject> {
        let account = |text: &String| {
            // A home page may have a bar in it; a name seldom has.
            let (home_page, name) = text
                .rsplit_once('|')
                .ok_or_else(|| anyhow::anyhow!("an account is 'home page|name', with a bar between them"))?;
            anyhow::Ok(Ifi::Account { home_page: home_page.to_owned(), name: name.to_owned() })
        };
        let accounts = self.account.iter().map(account).collect::<anyhow::Result<Vec<_>>>()?;
        let agents = (self.mbox.iter().cloned().map(Ifi::Mbox))
            .chain(self.sha1.iter().cloned().map(Ifi::MboxSha1sum))
            .chain(self.openid.iter().cloned().map(Ifi::OpenId))
            .chain(accounts)
            .collect();
        Ok(Subject { agents, users: self.user.clone() }.checked()?)
    }
}

/// What is decided for this request; what is not is as the tenant has it.
#[derive(Clone, clap::Args)]
pub struct Decided {
    /// What becomes of statements that only mention the person: redact, keep or delete
    #[arg(long)]
    mentions: Option<Mentions>,
    /// What becomes of what the same person does later: erase or accept
    #[arg(long)]
    arrivals: Option<Arrivals>,
    /// What this becomes where a law stands against it: queue (and hide it meanwhile) or refuse
    #[arg(long)]
    on_hold: Option<OnHold>,
}

impl Decided {
    pub fn over(&self, policy: Policy) -> Policy {
        Policy {
            mentions: self.mentions.unwrap_or(policy.mentions),
            arrivals: self.arrivals.unwrap_or(policy.arrivals),
            on_hold: self.on_hold.unwrap_or(policy.on_hold),
        }
    }
}
