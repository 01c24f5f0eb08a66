//! `data export`: a tenant, or a part of it, as files.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use serde_json::json;

use super::{
    Desk, bar,
    subject::{self, Person},
};
use crate::{
    bundle::{Form, Manifest},
    cli::access::{self, BY},
    model::Clock,
    query::export::Wish as OfPerson,
    transfer::{
        Kind,
        export::{self, Wish},
        import::note,
    },
};

#[derive(clap::Args)]
pub struct Args {
    /// Whose: a tenant's id or name
    #[arg(long, default_value = "default")]
    tenant: String,
    /// Everything about this user instead, for that person, as one zip
    #[arg(long, conflicts_with_all = ["learner", "kind", "since", "until", "zip"])]
    user: Option<String>,
    /// A folder that is empty or not there yet, or with --zip or --user a zip that is not there yet
    #[arg(long)]
    output: PathBuf,
    /// With --user: also what others said that names them
    #[arg(long, requires = "user")]
    mentions: bool,
    /// Pack it into a zip; needs the room of the folder until it is done
    #[arg(long)]
    zip: bool,
    /// The form of statements: a line of JSON each, or Parquet with the line in a column, which analytics tools read
    #[arg(long, default_value = "ndjson", value_parser = ["ndjson", "parquet"], conflicts_with = "user")]
    format: String,
    /// Only what is one learner's, by the user's id as in attempts
    #[arg(long)]
    learner: Option<String>,
    /// Only this kind; may be given again: statements, documents, attachments, attempts, completions, scores, courses,
    /// registries, settings, credentials (without their secrets)
    #[arg(long, value_parser = kind)]
    kind: Vec<Kind>,
    /// Only statements that were stored after this moment
    #[arg(long)]
    since: Option<DateTime<Utc>>,
    /// Only statements that were stored up to this moment
    #[arg(long)]
    until: Option<DateTime<Utc>>,
}

fn kind(text: &str) -> Result<Kind, String> {
    let names = || Kind::ALL.map(Kind::name).join(", ");
    Kind::parse(text).ok_or_else(|| format!("{text:?} is none of {}", names()))
}

pub async fn run(desk: &Desk<'_>, args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(user) = &args.user {
        let person = Person { tenant: &args.tenant, user, mentions: args.mentions, output: &args.output };
        return subject::run(desk, &person).await;
    }
    let wish = wish(desk, args).await?;
    if args.zip && args.output.exists() {
        bail!("{} is there already", args.output.display());
    }
    let folder = match args.zip {
        true => args.output.with_extension("unpacked"),
        false => args.output.clone(),
    };
    let bar = bar()?;
    let tell = |what: &str, count: u64| {
        bar.set_message(what.to_owned());
        bar.set_position(count);
    };
    let manifest = export::export(&desk.cold, &wish, &folder, Clock::system().now(), &tell).await?;
    if args.zip {
        export::pack(&folder, &args.output, &tell)?;
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    bar.finish_and_clear();
    let detail = json!({ "statements": manifest.statements(), "counts": manifest.counts, "kinds": manifest.selection.kinds,
                         "ofOneLearner": wish.learner.is_some() });
    note(&desk.store, wish.tenant, BY, "data.export", &detail).await?;
    print(desk, args, &manifest);
    Ok(ExitCode::SUCCESS)
}

async fn wish(desk: &Desk<'_>, args: &Args) -> anyhow::Result<Wish> {
    let tenant = access::tenant(&desk.identity, &args.tenant).await?;
    let name = desk.identity.tenant(tenant).await?.name;
    let learner = match &args.learner {
        Some(user) => {
            let of = OfPerson { tenant, user: user.clone(), mentions: false };
            Some((user.clone(), desk.reader().known_keys(&of).await?))
        }
        None => None,
    };
    let kinds = if args.kind.is_empty() { Kind::ALL.to_vec() } else { args.kind.clone() };
    let form = if args.format == "parquet" { Form::Parquet } else { Form::Lines };
    Ok(Wish { learner, kinds, form, since: args.since, until: args.until, ..Wish::all(tenant, &name) })
}

fn print(desk: &Desk<'_>, args: &Args, manifest: &Manifest) {
    if desk.json {
        let months: Vec<_> =
            manifest.months.iter().map(|one| json!({ "month": one.month, "statements": one.statements })).collect();
        say!(
            "{}",
            json!({ "output": args.output, "format": manifest.format, "tenant": manifest.tenant, "through": manifest.through,
                    "statements": manifest.statements(), "counts": manifest.counts, "months": months,
                    "files": manifest.files.len() })
        );
        return;
    }
    for (kind, count) in &manifest.counts {
        say!("{kind:<13} {count}");
    }
    say!("{}: {} files, statements up to {}", args.output.display(), manifest.files.len(), manifest.through);
}
