//! `data validate` and `data repair`: whether a tenant's data hold their own rules, and making them so where nothing is made up.

use std::process::ExitCode;

use serde_json::json;

use super::{Desk, bar, follow};
use crate::{
    cli::{
        access::{self, BY},
        exit,
    },
    model::TenantId,
    transfer::{
        import::note,
        validate::{self, Findings},
    },
};

#[derive(clap::Args)]
pub struct Args {
    /// Whose: a tenant's id or name
    #[arg(long, default_value = "default")]
    tenant: String,
}

#[derive(clap::Args)]
pub struct RepairArgs {
    /// Print what would be repaired, and do nothing
    #[arg(long, required_unless_present = "confirm", conflicts_with = "confirm")]
    dry_run: bool,
    /// Repair it
    #[arg(long)]
    confirm: bool,
    /// Whose: a tenant's id or name
    #[arg(long, default_value = "default")]
    tenant: String,
}

pub async fn run(desk: &Desk<'_>, args: &Args) -> anyhow::Result<ExitCode> {
    let tenant = access::tenant(&desk.identity, &args.tenant).await?;
    let (findings, projections) = look(desk, tenant, false).await?;
    print(desk, &findings, projections, false);
    let is_clean = findings.by_rule.is_empty() && projections == 0;
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::from(exit::FOUND) })
}

pub async fn repair(desk: &Desk<'_>, args: &RepairArgs) -> anyhow::Result<ExitCode> {
    let tenant = access::tenant(&desk.identity, &args.tenant).await?;
    let (findings, projections) = look(desk, tenant, args.confirm).await?;
    if args.confirm {
        follow::references(desk).await?;
        if projections > 0 || findings.repaired > 0 {
            Box::pin(follow::rebuild(desk, tenant)).await?;
        }
        let detail =
            json!({ "repaired": findings.repaired, "byRule": findings.by_rule, "projectionRows": projections });
        note(&desk.store, tenant, BY, "data.repair", &detail).await?;
    }
    print(desk, &findings, projections, args.confirm);
    let is_beyond = findings.found.iter().any(|finding| !finding.is_repairable);
    Ok(if is_beyond { ExitCode::from(exit::FOUND) } else { ExitCode::SUCCESS })
}

/// What is found, and how many rows of the projections differ.
async fn look(desk: &Desk<'_>, tenant: TenantId, repairs: bool) -> anyhow::Result<(Findings, i64)> {
    let bar = bar()?;
    let tell = |what: &str, count: u64| {
        bar.set_message(what.to_owned());
        bar.set_position(count);
    };
    let findings = Box::pin(validate::validate(&desk.cold, tenant, repairs, &tell)).await?;
    tell("projections", 0);
    let projections = Box::pin(follow::differences(desk, tenant)).await?.iter().map(|one| one.rows).sum();
    bar.finish_and_clear();
    Ok((findings, projections))
}

fn print(desk: &Desk<'_>, findings: &Findings, projections: i64, repaired: bool) {
    if desk.json {
        say!("{}", json!({ "findings": findings, "projectionRows": projections, "repaired": repaired }));
        return;
    }
    say!(
        "looked at {} statements, {} documents, {} attachments",
        findings.statements,
        findings.documents,
        findings.attachments
    );
    for one in &findings.found {
        say!("{}: {}: {}{}", one.rule, one.subject, one.message, if one.is_repairable { " (repairable)" } else { "" });
    }
    for (rule, count) in &findings.by_rule {
        say!("{rule}  {count}");
    }
    if projections > 0 {
        say!("projections: {projections} rows are not what the ledger makes of them (repairable)");
    }
    if repaired {
        say!("{} repaired", findings.repaired);
    } else if findings.by_rule.is_empty() && projections == 0 {
        say!("everything is as it should be");
    }
}
