//! `migrations evidence`: a folder for whoever has to vouch for a cutover, and the comparison with the one that was made before it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::Args as ClapArgs;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Output, exit};
use crate::{
    migrate::{
        Runner,
        evidence::{self, Artefact, Case, Name, Then},
    },
    model::{Clock, Ids, Secret},
    store::Endpoint,
};

#[derive(ClapArgs)]
pub struct Args {
    /// A new folder for the documents
    folder: PathBuf,
    /// The folder of an earlier look, from before the cutover: what was there then is compared
    #[arg(long, value_name = "FOLDER")]
    before: Option<PathBuf>,
    /// Count the rows of every table as well; reads the whole ledger
    #[arg(long)]
    count: bool,
    /// URL of a server and a login that may create databases there; absent means the configured owner's
    #[arg(long)]
    server: Option<String>,
}

/// One line of the list of what there is.
#[derive(Serialize)]
struct Line {
    wave: Name,
    file: &'static str,
    sound: bool,
    sha256: String,
}

/// Writes all documents, and a list of them last; exit code 4 where one is not sound.
pub async fn run(out: Output, args: &Args, runner: &Runner, owner: &Endpoint) -> anyhow::Result<ExitCode> {
    let before = args.before.as_deref().map(then).transpose()?;
    // Looked at first: nobody waits for minutes to hear that the folder is taken.
    fs::create_dir_all(&args.folder).with_context(|| args.folder.display().to_string())?;
    if fs::read_dir(&args.folder)?.next().is_some() {
        bail!("{} has something in it already: name a folder that is new or empty", args.folder.display());
    }
    let scratch = match &args.server {
        Some(url) => Endpoint { url: Secret::new(url.as_str()), ca_file: owner.ca_file.clone() },
        None => owner.clone(),
    };
    let case = Case { runner, scratch: &scratch, counts_rows: args.count, before: before.as_ref() };
    let clock = Clock::system();
    let made_at = clock.now();
    let tell = |what: &str| eprintln!("looking: {what}");
    let artefacts = evidence::gather(&case, (&clock, &Ids::random()), &tell).await?;
    let lines: Vec<Line> = artefacts.iter().map(|one| write(&args.folder, one)).collect::<anyhow::Result<_>>()?;
    let is_sound = lines.iter().all(|line| line.sound);
    let list = json!({
        "format": 1, "kind": "evidence", "madeAt": made_at, "version": env!("CARGO_PKG_VERSION"), "sound": is_sound,
        "before": args.before, "artefacts": lines,
    });
    fs::write(args.folder.join("evidence.json"), serde_json::to_string_pretty(&list)?)?;
    if out.json {
        say!("{list}");
    } else {
        lines.iter().for_each(|line| say!("{:<16} {}", line.file, if line.sound { "sound" } else { "NOT sound" }));
        say!("written: {}", args.folder.display());
    }
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::from(exit::FOUND) })
}

fn write(folder: &Path, artefact: &Artefact) -> anyhow::Result<Line> {
    let (file, sound) = (artefact.name.file(), artefact.is_sound);
    let document = json!({ "format": 1, "kind": artefact.name, "sound": sound, "body": artefact.body });
    let text = serde_json::to_string_pretty(&document)?;
    fs::write(folder.join(file), &text).with_context(|| file.to_owned())?;
    Ok(Line { wave: artefact.name, file, sound, sha256: hex::encode(Sha256::digest(&text)) })
}

/// What a folder says was before; only as it was written.
fn then(folder: &Path) -> anyhow::Result<Then> {
    let read =
        |file: &str| fs::read_to_string(folder.join(file)).with_context(|| folder.join(file).display().to_string());
    let list: Value = serde_json::from_str(&read("evidence.json")?)?;
    let mut bodies = [Name::W0Status, Name::W1Snapshot].map(|name| (name, Value::Null));
    for (name, body) in &mut bodies {
        let text = read(name.file())?;
        let lines = list["artefacts"].as_array().into_iter().flatten();
        let known = lines.filter(|line| line["file"] == name.file()).map(|line| line["sha256"].clone()).next();
        if known != Some(Value::from(hex::encode(Sha256::digest(&text)))) {
            bail!("{} is not as evidence.json has it: it was changed since", folder.join(name.file()).display());
        }
        *body = serde_json::from_str::<Value>(&text)?["body"].take();
    }
    let [(_, mut status), (_, mut snapshot)] = bodies;
    let both = json!({ "status": status["status"].take(), "snapshot": snapshot["snapshot"].take() });
    serde_json::from_value(both).with_context(|| format!("{} is of another format", folder.display()))
}
