//! `data pull`: what another LRS has, over xAPI.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::{Desk, bar, follow::Due, print_documents};
use crate::{
    cli::{
        access::{self, BY},
        exit,
    },
    model::{Clock, Secret},
    projections::effects::EFFECTS,
    transfer::{
        Load,
        foreign::Intake,
        import::note,
        pull::{self, Cursor, Found, Order, Position, Pulled},
        remote::{Account, Remote},
    },
};

#[derive(clap::Args)]
pub struct Args {
    /// The other LRS: what stands before `/statements`, such as `https://lrs.example/xapi`
    #[arg(long)]
    endpoint: String,
    /// A file with `key:secret`, for the other LRS
    #[arg(long, value_name = "FILE")]
    login: PathBuf,
    /// Into which tenant, by its id or name
    #[arg(long)]
    tenant: String,
    /// Where to note how far it is, and to go on from; without it everything is read each time
    #[arg(long, value_name = "FILE")]
    cursor: Option<PathBuf>,
    /// Statements on a page
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    page: u32,
    /// At most so many requests a second
    #[arg(long, default_value_t = 10.0)]
    per_second: f64,
    /// So many seconds are read again where the other side does not say up to when nothing is missing
    #[arg(long, default_value_t = 300)]
    overlap: u32,
    /// The authority of statements that have none, an agent as JSON
    #[arg(long)]
    authority: Option<String>,
    /// Certificates to trust for the other LRS, in PEM
    #[arg(long)]
    ca_file: Option<PathBuf>,
    /// Also the documents of the agents and activities that statements name; each is asked for, which takes many requests
    #[arg(long)]
    documents: bool,
    /// Do it; without this only its About is asked
    #[arg(long)]
    apply: bool,
}

pub async fn run(desk: &Desk<'_>, args: &Args) -> anyhow::Result<ExitCode> {
    let tenant = access::tenant(&desk.identity, &args.tenant).await?;
    let account = account(&args.endpoint, &args.login)?;
    let endpoint = account.endpoint.to_string();
    let cursor = args.cursor.as_deref().map(|file| Cursor::read(file, &endpoint, tenant.0)).transpose()?.flatten();
    let mut remote = Remote::open(account, args.per_second, args.ca_file.as_deref()).await?;
    let is_new = cursor.is_none();
    let cursor = cursor.unwrap_or(Cursor {
        endpoint,
        tenant: tenant.0,
        since: DateTime::<Utc>::UNIX_EPOCH,
        documents: Position::default(),
    });
    if !args.apply {
        let since = (!is_new).then_some(cursor.since);
        if desk.json {
            say!(
                "{}",
                json!({ "plan": { "from": cursor.endpoint, "into": tenant, "version": remote.version(), "since": since }, "applied": false })
            );
        } else {
            say!(
                "{} speaks {}; {}",
                cursor.endpoint,
                remote.version(),
                since.map_or("all of it is read".to_owned(), |since| format!("read from {since} on"))
            );
            say!("nothing was done; --apply does it");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let authority: Option<Map<String, Value>> =
        args.authority.as_deref().map(serde_json::from_str).transpose().context("--authority is no agent as JSON")?;
    let intake =
        Intake::new(tenant, Load::begin(desk.store.clone(), EFFECTS.version), authority, Clock::system().now());
    let bar = bar()?;
    let tell = |what: &str, count: u64| {
        bar.set_message(what.to_owned());
        bar.set_position(count);
    };
    let overlap = TimeDelta::seconds(i64::from(args.overlap));
    let order = Order {
        cursor,
        is_new,
        file: args.cursor.as_deref(),
        page: args.page,
        overlap,
        documents: args.documents,
        clock: Clock::system(),
    };
    let due = Due::begin(args.cursor.as_deref())?;
    let done = Box::pin(pull::pull(&mut remote, &desk.cold, intake, order, &tell)).await?;
    Box::pin(due.settle(desk, tenant, &done.taken)).await?;
    bar.finish_and_clear();
    note(&desk.store, tenant, BY, "data.pull", &json!({ "done": done })).await?;
    print(desk, &done);
    let is_all_here =
        done.documents.iter().all(|found| found.documents.different.is_empty() && found.out_of_reach.is_empty());
    Ok(if is_all_here { ExitCode::SUCCESS } else { ExitCode::from(exit::FOUND) })
}

fn account(endpoint: &str, login: &Path) -> anyhow::Result<Account> {
    let slashed = if endpoint.ends_with('/') { endpoint.to_owned() } else { format!("{endpoint}/") };
    let endpoint: reqwest::Url = slashed.parse().with_context(|| format!("{endpoint:?} is no URL"))?;
    if !matches!(endpoint.scheme(), "http" | "https") || !endpoint.username().is_empty() {
        bail!("--endpoint: an http or https URL without a login was expected");
    }
    let text = std::fs::read_to_string(login).with_context(|| format!("cannot read {}", login.display()))?;
    let Some((key, secret)) = text.trim_end_matches(['\r', '\n']).split_once(':') else {
        bail!("{}: one line key:secret was expected", login.display());
    };
    Ok(Account { endpoint, key: key.to_owned(), secret: Secret::new(secret) })
}

fn print(desk: &Desk<'_>, done: &Pulled) {
    if desk.json {
        say!("{}", json!({ "applied": true, "done": done }));
        return;
    }
    let Pulled { taken, read, attachments, .. } = done;
    say!(
        "statements   {read} read: {} new, {} were there, {} of people who were erased were left out",
        taken.new,
        taken.same,
        taken.erased
    );
    say!("attachments  {attachments}");
    if done.broken_attachments > 0 {
        say!("             {} whose bytes are not what their hash says were left out", done.broken_attachments);
    }
    let Some(Found { documents, out_of_reach }) = &done.documents else { return };
    print_documents(documents);
    for name in out_of_reach {
        say!("             {name}: of a registration that no statement names, and not to be had over xAPI");
    }
}
