//! `credentials`: create, list, rotate, revoke. A secret is printed once, by the command that made it.

use std::{process::ExitCode, time::Duration};

use clap::Subcommand;
use serde_json::{Value, json};
use uuid::Uuid;

use super::access::{self, BY};
use crate::{
    config::Setting,
    identity::{Identity, Issued, NewCredential},
    model::{Clock, Scopes, TenantId},
    store::platform::credentials::Credential,
    xapi::{Limits, json},
};

#[derive(clap::Args)]
pub struct Args {
    /// Whose credentials: a tenant's id or name
    #[arg(long, global = true, default_value = "default")]
    tenant: String,
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a credential with a random key and secret
    Create {
        /// Scopes separated by spaces or commas, such as "statements/write statements/read/mine"
        #[arg(long, default_value = "all", value_parser = scopes)]
        scopes: Scopes,
        /// What it is for
        #[arg(long, default_value = "")]
        label: String,
        /// How long it works, such as 12h or 90d; without it there is no end
        #[arg(long, value_parser = Duration::parse)]
        expires_in: Option<Duration>,
        /// The Agent it speaks for, as JSON; without it the account named by its key
        #[arg(long, value_parser = agent)]
        agent: Option<Value>,
    },
    /// Print the credentials, without their secrets
    List,
    /// Make a new secret for a credential
    Rotate {
        id: Uuid,
        /// How long the old secret works too
        #[arg(long, default_value = "1d", value_parser = Duration::parse)]
        overlap: Duration,
    },
    /// End a credential for good
    Revoke { id: Uuid },
}

const PAGE: i64 = 500;

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    access::run(async |identity| {
        let tenant = access::tenant(identity, &args.tenant).await?;
        match args.command {
            Command::Create { scopes, label, expires_in, agent } => {
                let expires_at = expires_in.map(|life| Clock::system().now() + life);
                let agent = agent.as_ref().and_then(Value::as_object).cloned();
                let new = NewCredential { scopes, label, agent, expires_at };
                print_issued(&identity.create_credential(BY, tenant, new).await?, args.json);
            }
            Command::List => list(identity, tenant, args.json).await?,
            Command::Rotate { id, overlap } => {
                print_issued(&identity.rotate_credential(BY, tenant, id, overlap).await?, args.json);
            }
            Command::Revoke { id } => {
                print(&identity.revoke_credential(BY, tenant, id).await?, args.json);
            }
        }
        Ok(())
    })
}

fn scopes(text: &str) -> Result<Scopes, String> {
    Scopes::parse(text).map_err(|e| e.to_string())
}

fn agent(text: &str) -> Result<Value, String> {
    let value = json::parse(text.as_bytes(), &Limits::default()).map_err(|e| e.to_string())?;
    if value.is_object() { Ok(value) } else { Err("expected a JSON object".to_owned()) }
}

async fn list(identity: &Identity, tenant: TenantId, json: bool) -> anyhow::Result<()> {
    let mut after = None;
    loop {
        let page = identity.list_credentials(tenant, after, PAGE).await?;
        page.iter().for_each(|credential| print(credential, json));
        match page.last().filter(|_| page.len() as i64 == PAGE) {
            Some(last) => after = Some(last.id),
            None => return Ok(()),
        }
    }
}

fn shown(credential: &Credential) -> Value {
    json!({
        "id": credential.id,
        "tenantId": credential.tenant,
        "apiKey": credential.api_key,
        "scopes": credential.scopes.names(),
        "label": credential.label,
        "agent": credential.agent,
        "createdAt": credential.created_at,
        "expiresAt": credential.expires_at,
        "previousSecretValidUntil": credential.previous_valid_until,
        "revokedAt": credential.revoked_at,
    })
}

fn print_issued(issued: &Issued, json: bool) {
    let Issued { credential, secret } = issued;
    if json {
        let mut line = shown(credential);
        line["secret"] = secret.expose().into();
        say!("{line}");
    } else {
        say!("id      {}\nkey     {}\nsecret  {}", credential.id, credential.api_key, secret.expose());
        say!("The secret is stored hashed and is not shown again.");
    }
}

fn print(credential: &Credential, json: bool) {
    if json {
        say!("{}", shown(credential));
        return;
    }
    let state = match (credential.revoked_at, credential.expires_at) {
        (Some(at), _) => format!("revoked {}", at.format("%F")),
        (None, Some(at)) => format!("until {}", at.format("%F %R")),
        (None, None) => "active".to_owned(),
    };
    let scopes = credential.scopes.names().join(" ");
    say!("{}  {}  {state:<18}  {scopes}  {}", credential.id, credential.api_key, credential.label);
}
