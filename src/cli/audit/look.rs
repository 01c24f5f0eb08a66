//! `audit verify`: the whole log, or what was added since somebody looked.

use std::{fs, io::ErrorKind, path::PathBuf, process::ExitCode};

use anyhow::Context;
use serde_json::json;

use super::Desk;
use crate::{
    audit::{Look, note::Verifier},
    cli::exit,
};

#[derive(clap::Args)]
pub struct Args {
    /// Go on from what this file says was right the last time, and keep there what is right now; entries from before are not read again
    #[arg(long)]
    state: Option<PathBuf>,
    /// The public key that the log must have, as `audit key` printed it once
    #[arg(long)]
    key: Option<String>,
    /// An epoch of which you know that it ended with the restore of a backup: what was signed in it beyond the backup is no finding
    #[arg(long = "ended", value_name = "EPOCH")]
    ended: Vec<i64>,
}

pub(super) async fn run(desk: &Desk<'_>, args: &Args) -> anyhow::Result<ExitCode> {
    let key = args
        .key
        .as_ref()
        .map(|text| Verifier::read(text).with_context(|| format!("--key {text:?}: expected name+id+key")));
    let since = match &args.state {
        None => None,
        Some(file) => match fs::read_to_string(file) {
            Ok(text) => Some(
                serde_json::from_str(&text)
                    .with_context(|| format!("{} is not what `audit verify` keeps", file.display()))?,
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        },
    };
    let look = Look { since, key: key.transpose()?, ended: args.ended.iter().copied().collect() };
    let report = desk.audit.verify(&look).await?;
    if let (Some(file), Some(known)) = (&args.state, &report.known) {
        fs::write(file, serde_json::to_string(known)?).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if desk.json {
        say!("{}", json!(report));
    } else {
        report.findings.iter().for_each(|finding| say!("{finding}"));
        if report.more > 0 {
            say!("and {} more", report.more);
        }
        let outside: Vec<String> = report.outside.iter().map(|(place, count)| format!("{count} in {place}")).collect();
        say!(
            "{} entries in the log, {} from before; {} compared, {} sealed; {} checkpoints, outside {}: {}",
            report.size,
            report.from,
            report.entries,
            report.sealed,
            report.checkpoints,
            outside.join(", "),
            if report.findings.is_empty() { "all as it was signed" } else { "something does not fit" }
        );
    }
    Ok(if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(exit::FOUND) })
}
