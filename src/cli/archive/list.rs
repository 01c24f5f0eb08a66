//! `archive list`: the segments there are.

use std::process::ExitCode;

use serde_json::json;

use super::{Desk, bytes};
use crate::{
    model::partition::Month,
    store::ledger::segments::{Segment, State},
};

pub async fn run(desk: &Desk<'_>, month: Option<Month>, all: bool) -> anyhow::Result<ExitCode> {
    let segments = desk.archive.segments(month).await?;
    let shown: Vec<&Segment> = segments.iter().filter(|one| all || one.state == State::Published).collect();
    shown.iter().for_each(|segment| print(segment, desk.json));
    if shown.is_empty() && !desk.json {
        say!("there are none");
    }
    Ok(ExitCode::SUCCESS)
}

fn print(segment: &Segment, json: bool) {
    let Segment { name, state, contents, epoch, published_at, .. } = segment;
    let (tenant, month, revision, state) = (name.tenant, name.month, name.revision, state.name());
    if json {
        let of = contents.as_ref();
        let line = json!({ "tenant": tenant, "month": month, "revision": revision, "state": state, "epoch": epoch,
            "rows": of.map(|of| of.rows), "bytes": of.map(|of| of.bytes), "firstStored": of.map(|of| of.first_stored),
            "lastStored": of.map(|of| of.last_stored), "digest": of.map(|of| &of.digest), "publishedAt": published_at });
        say!("{line}");
    } else {
        let (rows, size) = contents.as_ref().map_or((0, 0), |of| (of.rows, of.bytes.unsigned_abs()));
        say!("{month}  {tenant}  r{revision}  {state:<9}  {rows:>12} rows  {:>12}", bytes(size));
    }
}
