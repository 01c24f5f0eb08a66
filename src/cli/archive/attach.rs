//! `archive attach`: a foreign table answers, in people's SQL, for a month of which only segments are left.

use std::process::ExitCode;

use serde_json::json;

use super::{BY, Desk};
use crate::{
    archive::foreign,
    model::partition::{Month, State},
};

pub async fn run(desk: &Desk<'_>, month: Month, apply: bool) -> anyhow::Result<ExitCode> {
    let remote = foreign::remote(&desk.config.gateway)?;
    let (was, segments) = foreign::look(&desk.archive, month).await?;
    let made = apply && foreign::attach(&desk.archive, month, &remote, BY).await?;
    let rows: i64 = segments.iter().filter_map(|segment| Some(segment.contents.as_ref()?.rows)).sum();
    let count = segments.len();
    if desk.json {
        let is = if made { State::Attached } else { was };
        let line = json!({ "name": month, "was": was.name(), "state": is.name(), "wanted": State::Attached.name(),
                           "made": made, "segments": count, "rows": rows });
        say!("{line}");
    } else if was == State::Attached {
        say!("{month}  is attached already");
    } else {
        let (host, port, user) = (&remote.host, remote.port, &remote.user);
        say!("{month}  dropped -> attached: {rows} statements in {count} segments, through {host}:{port} as {user}");
        if !made {
            say!("nothing was done; --apply does it");
        }
    }
    Ok(ExitCode::SUCCESS)
}
