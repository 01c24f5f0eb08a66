//! `data lrsql`: what the database of a SQL LRS (lrsql) has.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use chrono::TimeDelta;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Desk, bar, compare, follow::Due, print_documents};
use crate::{
    cli::{
        access::{self, BY},
        exit,
    },
    identity::{IdentityError, NewCredential},
    model::{Clock, Scopes, Secret, TenantId},
    projections::effects::EFFECTS,
    store::{
        Endpoint,
        lrsql::{Counts, Credential},
    },
    transfer::{
        Load,
        foreign::Intake,
        import::note,
        lrsql::{self, Cursor, Lrsql, Order, Pulled, compare::Compared, credentials},
    },
};

#[derive(clap::Args)]
pub struct Args {
    /// A file with the URL of lrsql's database: `postgres://user:password@host:5432/lrsql`. It is only read
    #[arg(long, value_name = "FILE")]
    database: PathBuf,
    /// Into which tenant, by its id or name
    #[arg(long)]
    tenant: String,
    /// Where to note how far it is, and to go on from; without it everything is read each time
    #[arg(long, value_name = "FILE")]
    cursor: Option<PathBuf>,
    /// Statements that are read at once
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    page: u32,
    /// At most so many queries a second
    #[arg(long, default_value_t = 10.0)]
    per_second: f64,
    /// So many seconds before the cursor are read again: what was committed there late
    #[arg(long, default_value_t = 300)]
    overlap: u32,
    /// The authority of statements that have none, an agent as JSON
    #[arg(long)]
    authority: Option<String>,
    /// Take credentials as well: the same keys and secrets, which are hashed here
    #[arg(long)]
    credentials: bool,
    /// Leave out the comparison at the end, which reads all statements once more
    #[arg(long)]
    no_compare: bool,
    /// Certificates to trust for lrsql's database, in PEM
    #[arg(long)]
    ca_file: Option<PathBuf>,
    /// Do it; without this it is counted alone
    #[arg(long)]
    apply: bool,
}

/// A key of lrsql, and what it comes to here.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    api_key: String,
    label: Option<String>,
    scopes: Vec<&'static str>,
    /// What lrsql lets it do and nothing here says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    without: Vec<String>,
    /// Whether its new statements carry the authority that its old ones have.
    keeps_authority: bool,
    /// `listed`, `made`, `there`, or why it cannot be made.
    state: String,
}

pub async fn run(desk: &Desk<'_>, args: &Args) -> anyhow::Result<ExitCode> {
    let tenant = access::tenant(&desk.identity, &args.tenant).await?;
    let authority: Option<Map<String, Value>> =
        args.authority.as_deref().map(serde_json::from_str).transpose().context("--authority is no agent as JSON")?;
    let endpoint = Endpoint { url: url(&args.database)?, ca_file: args.ca_file.clone() };
    let mut lrsql = Lrsql::open(&endpoint, args.per_second).await?;
    let cursor = match &args.cursor {
        Some(file) => Cursor::read(file, lrsql.place(), tenant)?,
        None => Cursor::new(lrsql.place(), tenant),
    };
    let logins = lrsql.credentials(args.credentials && args.apply).await?;
    if args.credentials && logins.is_none() {
        bail!(
            "this login may not read lrs_credential and credential_to_scope: GRANT SELECT on them, or leave out --credentials"
        );
    }
    let overlap = TimeDelta::seconds(i64::from(args.overlap));
    if !args.apply {
        let counts = lrsql.counts(cursor.behind(overlap)).await?;
        let keys: Option<Vec<Key>> = logins.map(|all| all.iter().map(|one| key(one, "listed").0).collect());
        print_plan(desk, &cursor, tenant, &counts, keys.as_deref());
        return Ok(ExitCode::SUCCESS);
    }
    let intake =
        Intake::new(tenant, Load::begin(desk.store.clone(), EFFECTS.version), authority, Clock::system().now());
    let bar = bar()?;
    let tell = |what: &str, count: u64| {
        bar.set_message(what.to_owned());
        bar.set_position(count);
    };
    let (database, is_compared) = (cursor.database.clone(), !args.no_compare);
    let order = Order { cursor, file: args.cursor.as_deref(), page: args.page, overlap, is_compared };
    let due = Due::begin(args.cursor.as_deref())?;
    let done = Box::pin(lrsql::pull(&mut lrsql, &desk.cold, intake, order, &tell)).await?;
    Box::pin(due.settle(desk, tenant, &done.taken)).await?;
    let keys = taken(desk, tenant, logins.unwrap_or_default(), args.credentials).await?;
    bar.finish_and_clear();
    let detail = json!({ "from": database, "done": done.taken, "documents": done.documents.put });
    note(&desk.store, tenant, BY, "data.pull", &detail).await?;
    Ok(print(desk, &done, &keys))
}

/// The URL, which nobody who lists processes can see.
fn url(file: &Path) -> anyhow::Result<Secret> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let text = text.trim();
    if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
        bail!("{}: one line postgres://user:password@host:5432/lrsql was expected", file.display());
    }
    Ok(Secret::new(text))
}

/// What a credential comes to, with its scopes.
fn key(credential: &Credential, state: &str) -> (Key, Scopes) {
    let (scopes, without) = credentials::scopes(&credential.scopes);
    let key = Key {
        api_key: credential.api_key.clone(),
        label: credential.label.clone(),
        scopes: scopes.names(),
        without,
        keeps_authority: credential.authority.is_some(),
        state: state.to_owned(),
    };
    (key, scopes)
}

/// Makes credentials, where that was asked for.
async fn taken(
    desk: &Desk<'_>,
    tenant: TenantId,
    logins: Vec<Credential>,
    is_wanted: bool,
) -> anyhow::Result<Vec<Key>> {
    let mut keys = Vec::new();
    for login in logins {
        let (mut key, scopes) = key(&login, "listed");
        if let (true, Some(secret)) = (is_wanted, login.secret) {
            let label = login.label.unwrap_or_default();
            let new = NewCredential { scopes, label, agent: login.authority, expires_at: None };
            let adopted = desk.identity.adopt_credential(BY, tenant, (&login.api_key, secret), new).await;
            key.state = match adopted {
                Ok(Some(_)) => "made".to_owned(),
                Ok(None) => "there".to_owned(),
                Err(error @ IdentityError::Invalid { .. }) => format!("cannot be made: {error}"),
                Err(error) => return Err(error.into()),
            };
        }
        keys.push(key);
    }
    Ok(keys)
}

fn print_plan(desk: &Desk<'_>, cursor: &Cursor, tenant: TenantId, counts: &Counts, keys: Option<&[Key]>) {
    let Counts { statements, voided, attachments, attachment_bytes, states, agent_profiles, activity_profiles } =
        counts;
    let is_new = cursor.after.is_nil();
    if desk.json {
        let documents =
            json!({ "state": states, "agentProfile": agent_profiles, "activityProfile": activity_profiles });
        say!(
            "{}",
            json!({ "plan": { "from": cursor.database, "into": tenant, "after": (!is_new).then_some(cursor.after),
                              "statements": statements, "voided": voided, "attachments": attachments,
                              "attachmentBytes": attachment_bytes, "documents": documents, "credentials": keys },
                    "applied": false })
        );
        return;
    }
    say!("from         {}", cursor.database);
    say!(
        "statements   {statements}, {voided} of them voided{}",
        if is_new { "" } else { ", from the cursor on and a little before" }
    );
    say!("attachments  {attachments}, {attachment_bytes} bytes");
    say!("documents    {states} of states, {agent_profiles} of agents, {activity_profiles} of activities");
    match keys {
        Some(keys) => keys.iter().for_each(print_key),
        None => say!("credentials  this login may not read them"),
    }
    say!("nothing was done; --apply does it");
}

fn print(desk: &Desk<'_>, done: &Pulled, keys: &[Key]) -> ExitCode {
    let Pulled { taken, read, attachments, documents, broken_attachments, compared, .. } = done;
    let differences = compared.as_ref().map_or(&[][..], |compared| &compared.differences);
    let is_equal = differences.is_empty() && documents.different.is_empty();
    if desk.json {
        let compared = compared.as_ref().map(|Compared { months, statements, attachments, late, differences }| {
            json!({ "equal": is_equal, "statements": statements, "attachments": attachments, "late": late,
                    "months": months, "differences": differences })
        });
        say!("{}", json!({ "applied": true, "done": done, "compared": compared, "credentials": keys }));
    } else {
        say!(
            "statements   {read} read: {} new, {} were there, {} of people who were erased were left out",
            taken.new,
            taken.same,
            taken.erased
        );
        say!("moved        {} by some microseconds, so that each has its own", taken.moved);
        say!("attachments  {attachments}");
        if *broken_attachments > 0 {
            say!("             {broken_attachments} whose bytes are not what their hash says were left out");
        }
        print_documents(documents);
        keys.iter().for_each(print_key);
        if let Some(Compared { months, statements, late, .. }) = compared {
            months.iter().for_each(|month| say!("{}      {} {}", month.month, month.statements, month.digest));
            say!("compared     {statements} statements, {late} of them came late and were taken");
            differences.iter().for_each(compare::print_one);
            say!("{}", if is_equal { "equal" } else { "NOT equal" });
        }
    }
    if is_equal { ExitCode::SUCCESS } else { ExitCode::from(exit::FOUND) }
}

fn print_key(key: &Key) {
    let Key { api_key, label, scopes, without, keeps_authority, state } = key;
    let without = if without.is_empty() { String::new() } else { format!(", without {}", without.join(" ")) };
    let authority = if *keeps_authority { ", with the authority of its statements" } else { "" };
    let label = label.as_deref().unwrap_or_default();
    say!("credential   {api_key}  {state}  {}{without}{authority}  {label}", scopes.join(" "));
}
