//! `audit receipt` and `audit check`: made here, checked anywhere.

use std::{fs, path::Path, process::ExitCode};

use anyhow::Context;
use serde_json::json;

use super::Files;
use crate::{
    audit::{Audit, Receipt, note::Verifier},
    cli::exit,
    config::Config,
    store::platform::audit::EntryId,
    telemetry::Metrics,
    transcript::Press,
};

/// Makes the receipt of an entry and writes it where it is wanted.
pub async fn hand_out(
    config: &Config,
    audit: &Audit,
    entry: EntryId,
    files: &Files,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let receipt = audit.receipt(entry).await?;
    if let Some(file) = &files.pdf {
        let transcript = &config.transcript;
        let press = Press::new(transcript.fonts.clone(), transcript.deadline, &Metrics::new()?);
        write(file, &press.print_receipt(&receipt)?)?;
    }
    match &files.output {
        Some(file) => write(file, serde_json::to_string_pretty(&receipt)?.as_bytes())?,
        None if json || files.pdf.is_none() => say!("{}", json!(receipt)),
        None => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether a receipt holds under a key; asks no database.
pub(super) fn check(file: &Path, key: &str, json: bool) -> anyhow::Result<ExitCode> {
    let key = Verifier::read(key)
        .with_context(|| format!("--key {key:?}: expected name+id+key, as `audit key` prints it"))?;
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let receipt: Receipt = serde_json::from_str(&text).with_context(|| format!("{} is no receipt", file.display()))?;
    let flaw = receipt.check(&key).err();
    if json {
        say!(
            "{}",
            json!({ "holds": flaw.is_none(), "why": flaw.map(|flaw| flaw.to_string()), "entry": receipt.entry() })
        );
    } else {
        match flaw {
            None => say!(
                "it holds: place {} of {}, signed {}\n{}",
                receipt.leaf_index,
                receipt.tree_size,
                receipt.signed_at,
                receipt.entry
            ),
            Some(flaw) => say!("it does not hold: {flaw}"),
        }
    }
    Ok(if flaw.is_none() { ExitCode::SUCCESS } else { ExitCode::from(exit::FOUND) })
}

fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
}
