//! `data compare`: what differs between two exports, or between an export and now.

use std::{path::PathBuf, process::ExitCode};

use anyhow::bail;
use serde_json::json;

use super::{Desk, bar};
use crate::{
    bundle::{Manifest, Source},
    cli::{access, exit},
    model::TenantId,
    query::export::Wish as OfPerson,
    transfer::{
        Kind,
        compare::{self, Comparison, Difference, Side},
        export::Wish,
    },
};

#[derive(clap::Args)]
pub struct Args {
    /// An export, as a folder or a zip
    left: PathBuf,
    /// The other one
    #[arg(required_unless_present = "to", conflicts_with = "to")]
    right: Option<PathBuf>,
    /// Compare with what the ledger holds now, as far as the export looked
    #[arg(long, value_parser = ["current"])]
    to: Option<String>,
    /// The tenant to compare with, by its id or name; without it the one with the export's id
    #[arg(long, requires = "to")]
    tenant: Option<String>,
    /// At most so many ids of each difference
    #[arg(long, default_value_t = 20)]
    ids: usize,
}

pub async fn run(desk: &Desk<'_>, args: &Args) -> anyhow::Result<ExitCode> {
    let left = Source::open(&args.left)?;
    let right = args.right.as_ref().map(|path| Source::open(path)).transpose()?;
    let other = match &right {
        Some(right) => Side::Export(right),
        None => {
            let wish = wish(desk, args.tenant.as_deref(), &left.manifest).await?;
            Side::Current { cold: &desk.cold, wish, through: left.manifest.through }
        }
    };
    let bar = bar()?;
    let tell = |what: &str, count: u64| {
        bar.set_message(what.to_owned());
        bar.set_position(count);
    };
    let comparison = Box::pin(compare::compare(&Side::Export(&left), &other, args.ids, &tell)).await?;
    bar.finish_and_clear();
    print(desk, &comparison);
    Ok(if comparison.differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(exit::FOUND) })
}

/// What the export was asked for, of the tenant that is here.
async fn wish(desk: &Desk<'_>, tenant: Option<&str>, manifest: &Manifest) -> anyhow::Result<Wish> {
    let tenant = match tenant {
        Some(text) => access::tenant(&desk.identity, text).await?,
        None => TenantId(manifest.tenant.id),
    };
    let Some(found) = desk.store.tenant(tenant).await? else {
        bail!("there is no tenant {tenant}: name one with --tenant");
    };
    let selection = &manifest.selection;
    let learner = match &selection.learner {
        Some(user) => {
            let of = OfPerson { tenant, user: user.clone(), mentions: false };
            Some((user.clone(), desk.reader().known_keys(&of).await?))
        }
        None => None,
    };
    let kinds = selection.kinds.iter().filter_map(|name| Kind::parse(name)).collect();
    Ok(Wish { learner, kinds, since: selection.since, until: selection.until, ..Wish::all(tenant, &found.name) })
}

fn print(desk: &Desk<'_>, comparison: &Comparison) {
    if desk.json {
        let equal = comparison.differences.is_empty();
        say!("{}", json!({ "equal": equal, "compared": comparison.compared, "differences": comparison.differences }));
        return;
    }
    for (kind, count) in &comparison.compared {
        say!("{kind:<13} {count}");
    }
    comparison.differences.iter().for_each(print_one);
    say!("{}", if comparison.differences.is_empty() { "equal" } else { "NOT equal" });
}

/// Prints one difference for people.
pub(super) fn print_one(one: &Difference) {
    let Difference { kind, month, verb, left, right, .. } = one;
    let place: Vec<String> =
        [Some(kind.clone()), month.map(|month| month.to_string()), verb.clone()].into_iter().flatten().collect();
    say!("{}: {left} on the left, {right} on the right", place.join(" "));
    for (word, ids) in [("only left", &one.only_left), ("only right", &one.only_right), ("different", &one.different)] {
        ids.iter().for_each(|id| say!("  {word}: {id}"));
    }
}
