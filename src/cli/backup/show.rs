//! Backups as people and programs read them.

use std::process::ExitCode;

use serde_json::json;

use super::super::exit;
use crate::backup::{
    Backups,
    plan::{Kept, Manifest, Verified, last_good},
};

pub async fn list(backups: &Backups, json: bool) -> anyhow::Result<ExitCode> {
    let kept = backups.place.list().await?;
    for one in &kept {
        line(one, json);
    }
    if kept.is_empty() && !json {
        say!("there are none; `progress-service backup make` makes one");
    }
    Ok(if last_good(&kept).is_some() { ExitCode::SUCCESS } else { ExitCode::from(exit::FOUND) })
}

fn line(Kept { manifest, verified }: &Kept, json: bool) {
    if json {
        say!("{}", json!({ "backup": shown(manifest), "verified": verified }));
        return;
    }
    let state = match verified {
        None => "not verified",
        Some(verified) if verified.is_good() => "good",
        Some(_) => "NOT GOOD",
    };
    say!("{}  {state:<12}  {}", manifest.id, words(manifest));
}

fn words(manifest: &Manifest) -> String {
    let sealed = if manifest.key.is_some() { "sealed" } else { "not sealed" };
    let schema = manifest.schema.as_ref().map_or(String::new(), |schema| format!(" of {schema}"));
    format!(
        "{}{schema}  {}  {} statements  {sealed}  release {}  {}",
        manifest.kind.name(),
        indicatif::BinaryBytes(manifest.bytes()),
        manifest.statements(),
        manifest.release,
        manifest.reason
    )
}

fn shown(manifest: &Manifest) -> serde_json::Value {
    json!({ "id": manifest.id, "kind": manifest.kind, "schema": manifest.schema, "reason": manifest.reason,
        "beganAt": manifest.began_at, "endedAt": manifest.ended_at, "release": manifest.release, "bytes": manifest.bytes(),
        "statements": manifest.statements(), "segments": manifest.segments.len(), "sealedUnder": manifest.key })
}

pub fn manifest(manifest: &Manifest, json: bool) {
    if json {
        say!("{}", json!({ "backup": shown(manifest) }));
    } else {
        say!("{}  made  {}", manifest.id, words(manifest));
    }
}

pub fn verified(id: &str, verified: &Verified, json: bool) {
    if json {
        say!("{}", json!({ "id": id, "good": verified.is_good(), "verified": verified }));
        return;
    }
    let Verified { faults, tables, rows, statements, .. } = verified;
    faults.iter().for_each(|fault| say!("{id}  fault: {fault}"));
    if faults.is_empty() {
        say!("{id}  good: {statements} statements compared, {rows} rows of {tables} tables read");
    }
}
