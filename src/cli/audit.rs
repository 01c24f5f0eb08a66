//! `audit`: the trail as a log: what stands in it, what proves it, and whether all of it is as it was signed.

mod keys;
mod look;
mod receipt;

pub(in crate::cli) use self::receipt::hand_out;

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;
use serde_json::json;

use super::{access, beside::with_database};
use crate::{
    app::{self, Database},
    audit::Audit,
    config::Config,
    model::{Clock, Ids, TenantId},
    store::{Store, platform::audit::EntryId},
    telemetry::Metrics,
};

#[derive(clap::Args)]
pub struct Args {
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print entries, the newest first
    Entries {
        /// Only of a tenant, by its id or name
        #[arg(long)]
        tenant: Option<String>,
        /// Only of this act, such as tenant.create
        #[arg(long)]
        action: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=100_000))]
        most: i64,
    },
    /// Print the public key of the log: hand it to whoever is to check receipts
    Key,
    /// The keys with which the log commits to entries, one for each tenant: print them, destroy one
    #[command(subcommand)]
    Keys(keys::Command),
    /// Print the newest signed checkpoint
    Checkpoint,
    /// Compare the whole log with the entries, with what was signed and with what lies outside; exit code 4 when something does not fit
    Verify(look::Args),
    /// Print the proof that an entry is in the log (C2SP tlog-proof)
    Proof {
        /// The id of the entry
        entry: i64,
    },
    /// Print where checkpoints lie outside of the database, the newest first
    Anchors {
        /// How many at most
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=100_000))]
        most: i64,
    },
    /// Print the receipt of an entry: all that is needed to check it without this service
    Receipt {
        /// The id of the entry
        entry: i64,
        #[command(flatten)]
        files: Files,
    },
    /// Check a receipt without a database; exit code 4 when it does not hold
    Check {
        /// The receipt as JSON
        file: PathBuf,
        /// The public key of the log, as `audit key` prints it
        #[arg(long)]
        key: String,
    },
}

/// Where a receipt is written to.
#[derive(clap::Args)]
pub(in crate::cli) struct Files {
    /// Also write it as a PDF
    #[arg(long)]
    pdf: Option<PathBuf>,
    /// Write it into this file
    #[arg(long)]
    output: Option<PathBuf>,
}

/// What every verb works with.
struct Desk<'a> {
    config: &'a Config,
    database: &'a Database,
    audit: Audit,
    json: bool,
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let Command::Check { file, key } = &args.command {
        return receipt::check(file, key, args.json);
    }
    let loaded = super::begin()?;
    super::runtime()?.block_on(with_database(&loaded.config, async |database| {
        let store = Store::open(&database.settings)?;
        let audit = app::audit(&loaded.config, &store, &Clock::system(), &Metrics::new()?)?;
        let desk = Desk { config: &loaded.config, database, audit, json: args.json };
        let done = match &args.command {
            Command::Entries { tenant, action, most } => {
                let tenant = desk.tenant(tenant.as_deref()).await?;
                let found = desk.audit.entries(tenant, action.as_deref(), None, *most).await?;
                found.iter().for_each(|(entry, place)| desk.entry(entry, *place));
                Ok(ExitCode::SUCCESS)
            }
            Command::Key => {
                let key = desk.audit.verifier().await?.to_string();
                desk.say(&key, || json!({ "verifier": key }));
                Ok(ExitCode::SUCCESS)
            }
            Command::Checkpoint => {
                desk.audit.settle().await?;
                let last = desk.audit.checkpoint().await?.ok_or(crate::audit::AuditError::NotSigned)?;
                desk.say(last.note.trim_end(), || json!({ "treeSize": last.size, "signedAt": last.signed_at, "checkpoint": last.note }));
                Ok(ExitCode::SUCCESS)
            }
            Command::Keys(verb) => keys::run(&desk, verb).await,
            Command::Verify(args) => look::run(&desk, args).await,
            Command::Proof { entry } => {
                let proof = desk.audit.proof(EntryId(*entry)).await?;
                desk.say(proof.text().trim_end(), || json!(proof));
                Ok(ExitCode::SUCCESS)
            }
            Command::Anchors { most } => {
                for anchor in desk.audit.anchors(None, *most).await? {
                    let text = format!("{:>10}  {}  {}  {}", anchor.size, anchor.at, anchor.place, anchor.detail);
                    desk.say(&text, || {
                        json!({ "treeSize": anchor.size, "place": anchor.place, "anchoredAt": anchor.at, "detail": anchor.detail })
                    });
                }
                Ok(ExitCode::SUCCESS)
            }
            Command::Receipt { entry, files } => {
                receipt::hand_out(desk.config, &desk.audit, EntryId(*entry), files, desk.json).await
            }
            Command::Check { .. } => Ok(ExitCode::SUCCESS),
        };
        store.close();
        done
    }))
}

impl Desk<'_> {
    async fn tenant(&self, named: Option<&str>) -> anyhow::Result<Option<TenantId>> {
        let Some(name) = named else { return Ok(None) };
        let identity = self.database.identity(self.config, Clock::system(), Ids::random())?;
        access::tenant(&identity, name).await.map(Some)
    }

    fn say(&self, text: &str, json: impl FnOnce() -> serde_json::Value) {
        if self.json {
            say!("{}", json());
        } else {
            say!("{text}");
        }
    }

    fn entry(&self, entry: &crate::store::platform::audit_log::Recorded, place: Option<i64>) {
        let tenant = entry.tenant.map_or_else(|| "-".to_owned(), |tenant| tenant.to_string());
        let at = place.map_or_else(|| "-".to_owned(), |place| place.to_string());
        let text = format!(
            "{:>8}  {:>8}  {}  {tenant}  {}  {}  {}  {}",
            entry.id.0, at, entry.at, entry.actor, entry.action, entry.subject, entry.detail
        );
        self.say(&text, || {
            json!({ "id": entry.id, "leafIndex": place, "at": entry.at, "tenantId": entry.tenant.map(|tenant| tenant.0),
                "actor": entry.actor, "action": entry.action, "subject": entry.subject, "detail": entry.detail })
        });
    }
}
