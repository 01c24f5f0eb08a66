//! `data export --user`: everything about a person, as a zip for that person.

use std::{path::Path, process::ExitCode};

use anyhow::Context;
use serde_json::json;
use tokio::{fs::OpenOptions, io::AsyncWriteExt, sync::mpsc};

use super::Desk;
use crate::{
    cli::access::{self, BY},
    query::export::{AHEAD, Wish},
    store::platform::audit::Reading,
};

/// Whose zip, and where it goes.
pub struct Person<'a> {
    pub tenant: &'a str,
    pub user: &'a str,
    pub mentions: bool,
    pub output: &'a Path,
}

/// Writes the zip of a person.
pub async fn run(desk: &Desk<'_>, args: &Person<'_>) -> anyhow::Result<ExitCode> {
    let tenant = access::tenant(&desk.identity, args.tenant).await?;
    let store = desk.store.clone();
    let reader = desk.reader();
    let wish = Wish { tenant, user: args.user.to_owned(), mentions: args.mentions };
    let people = reader.known_keys(&wish).await?;
    let key = store.signing_key("audit").await?.into();
    let reading = Reading { actor: BY.to_owned(), action: "read.export", key };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    options.mode(0o600);
    let named = || format!("cannot write {}", args.output.display());
    let mut file = options.open(args.output).await.with_context(named)?;
    let (to, mut from) = mpsc::channel::<Vec<u8>>(AHEAD);
    let write = async move {
        while let Some(piece) = from.recv().await {
            file.write_all(&piece).await?;
        }
        file.sync_all().await
    };
    let (done, written) = tokio::join!(reader.export(&wish, &people, Some(&reading), to), write);
    if done.is_err() || written.is_err() {
        // Half an archive is none.
        tokio::fs::remove_file(args.output).await.ok();
    }
    let counts = done?;
    written.with_context(named)?;
    if desk.json {
        say!(
            "{}",
            json!({ "file": args.output, "statements": counts.statements, "mentions": counts.mentions,
                "attempts": counts.attempts, "completions": counts.completions, "scores": counts.scores,
                "documents": counts.documents, "attachments": counts.attachments, "missing": counts.missing })
        );
    } else {
        let (statements, documents, files) = (counts.statements, counts.documents, counts.attachments);
        say!("{}: {statements} statements, {documents} documents, {files} attachments", args.output.display());
    }
    Ok(ExitCode::SUCCESS)
}
