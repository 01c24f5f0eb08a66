//! `projections`: how they stand, whether they are what the ledger makes of them, and making them so.

use std::{process::ExitCode, time::Duration};

use chrono::{DateTime, Utc};
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{
    access::BY,
    beside::{cold, with_database},
    exit,
};
use crate::{
    cold::Cold,
    config::Loaded,
    model::TenantId,
    projections::{
        effects::EFFECTS,
        rebuild::{Rebuild, RebuildProgress, Replaced},
    },
    store::{
        PoolSettings, Store, StoreSettings,
        progress::rebuild::{Difference, Standing},
    },
};

/// A whole table may be read at once here.
const LONGEST: Duration = Duration::from_hours(12);

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
    /// Print how far each tenant's attempts, completions and scores are
    Status,
    /// Make them again beside the live ones and print what differs; exit code 4 when something does
    Verify {
        /// Id or name; absent means every tenant
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Make them again from the ledger and print what would be put in place; ingest goes on, and no event is told
    Rebuild {
        /// Id or name; absent means every tenant
        #[arg(long)]
        tenant: Option<String>,
        /// Put it in place; without this only the plan is printed
        #[arg(long)]
        apply: bool,
    },
}

/// Runs the subcommand over the configured database, which may serve at the same time.
pub async fn run(args: Args, loaded: &Loaded) -> anyhow::Result<ExitCode> {
    with_database(&loaded.config, async |database| {
        let settings = &database.settings;
        let patient = PoolSettings { statement_timeout: LONGEST, ..settings.pool.clone() };
        let store = Store::open(&StoreSettings { pool: patient, ..settings.clone() })?;
        with_store(&args, &cold(store, &loaded.config)?).await
    })
    .await
}

async fn with_store(args: &Args, cold: &Cold) -> anyhow::Result<ExitCode> {
    let standings = cold.store().projection_standings().await?;
    match &args.command {
        Command::Status => {
            standings.iter().for_each(|standing| print_standing(standing, args.json));
            Ok(ExitCode::SUCCESS)
        }
        Command::Verify { tenant } => {
            let found = rebuild(cold, &standings, tenant.as_deref(), false, args.json).await?;
            Ok(if found { ExitCode::from(exit::FOUND) } else { ExitCode::SUCCESS })
        }
        Command::Rebuild { tenant, apply } => {
            rebuild(cold, &standings, tenant.as_deref(), *apply, args.json).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Answers whether anything differed.
async fn rebuild(
    cold: &Cold,
    standings: &[Standing],
    tenant: Option<&str>,
    apply: bool,
    json: bool,
) -> anyhow::Result<bool> {
    let only = tenant.map(|text| named(standings, text)).transpose()?;
    let rebuild = Rebuild::begin(cold, only).await?;
    let outcome = compare_and_apply(&rebuild, standings, apply, json).await;
    rebuild.end().await?;
    outcome
}

async fn compare_and_apply(rebuild: &Rebuild, standings: &[Standing], apply: bool, json: bool) -> anyhow::Result<bool> {
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {msg} ({elapsed})")?);
    let tell = |progress| bar.set_message(words(progress, standings));
    bar.enable_steady_tick(Duration::from_millis(200));
    rebuild.build(&tell).await?;
    let mut found = false;
    for tenant in rebuild.tenants() {
        tell(RebuildProgress::Comparing(tenant));
        let differences = rebuild.compare(tenant).await?;
        found |= !differences.is_empty();
        bar.suspend(|| print_differences(name(standings, tenant), &differences, json));
        if apply {
            let replaced = rebuild.apply(tenant, BY).await?;
            bar.suspend(|| print_replaced(name(standings, tenant), replaced, json));
        }
    }
    bar.finish_and_clear();
    if found && !apply && !json {
        say!("nothing was changed; `progress-service projections rebuild --apply` puts it in place");
    }
    Ok(found)
}

fn named(standings: &[Standing], text: &str) -> anyhow::Result<TenantId> {
    let is_it = |standing: &&Standing| standing.name == text || standing.tenant.to_string() == text;
    let found = standings.iter().find(is_it).map(|standing| standing.tenant);
    found.ok_or_else(|| anyhow::anyhow!("there is no tenant {text:?}; `progress-service tenants list` prints all"))
}

fn name(standings: &[Standing], tenant: TenantId) -> &str {
    standings.iter().find(|standing| standing.tenant == tenant).map_or("a new tenant", |standing| &standing.name)
}

fn words(progress: RebuildProgress, standings: &[Standing]) -> String {
    match progress {
        RebuildProgress::Reading(tenant, count) => format!("{}: {count} statements read", name(standings, tenant)),
        RebuildProgress::Indexing => "indexing".to_owned(),
        RebuildProgress::Folding(tenant, count) => format!("{}: {count} attempts folded", name(standings, tenant)),
        RebuildProgress::Comparing(tenant) => format!("{}: comparing", name(standings, tenant)),
    }
}

fn print_standing(standing: &Standing, json: bool) {
    let Standing { tenant, name, position, waiting_since, attempts, open, completions, scores, unsent, .. } = standing;
    let is_current = standing.effects_version.is_none_or(|version| version == EFFECTS.version);
    if json {
        let line = json!({ "tenantId": tenant, "name": name, "position": position, "waitingSince": waiting_since,
            "effectsVersion": standing.effects_version, "isCurrent": is_current, "attempts": attempts, "open": open,
            "completions": completions, "scores": scores, "unsentEvents": unsent, "unsentSince": standing.unsent_since });
        say!("{line}");
        return;
    }
    let moment = |at: &Option<DateTime<Utc>>| at.map_or("nothing".to_owned(), |at| at.to_rfc3339());
    say!("{name}: read up to {}, waiting since {}", moment(position), moment(waiting_since));
    say!("  {attempts} attempts ({open} open), {completions} completions, {scores} scores, {unsent} unsent events");
    if !is_current {
        say!(
            "  read by an older table of verbs: `progress-service projections rebuild` shows what the present one changes"
        );
    }
}

fn print_differences(name: &str, differences: &[Difference], json: bool) {
    if json {
        let each = |one: &Difference| json!({ "table": one.table, "kind": one.kind, "rows": one.rows, "examples": one.examples });
        let all: Vec<_> = differences.iter().map(each).collect();
        say!("{}", json!({ "tenant": name, "same": all.is_empty(), "differences": all }));
        return;
    }
    if differences.is_empty() {
        say!("{name}: the same");
    }
    for Difference { table, kind, rows, examples } in differences {
        say!("{name}: {table}: {rows} rows {kind}, such as {}", examples.join(", "));
    }
}

fn print_replaced(name: &str, Replaced { removed, added }: Replaced, json: bool) {
    if json {
        say!("{}", json!({ "tenant": name, "removed": removed, "added": added }));
    } else {
        say!("{name}: {removed} rows removed, {added} rows put in place");
    }
}
