//! `archive detach`: the foreign table of a month goes; its segments stay.

use std::process::ExitCode;

use serde_json::json;

use super::{BY, Desk};
use crate::{
    archive::foreign,
    model::partition::{Month, State},
};

pub async fn run(desk: &Desk<'_>, month: Month, apply: bool) -> anyhow::Result<ExitCode> {
    let was = foreign::look_attached(&desk.archive, month).await?;
    let made = apply && foreign::detach(&desk.archive, month, BY).await?;
    if desk.json {
        let is = if made { State::Dropped } else { was };
        let line = json!({ "name": month, "was": was.name(), "state": is.name(), "wanted": State::Dropped.name(), "made": made });
        say!("{line}");
    } else if was == State::Dropped {
        say!("{month}  is not attached");
    } else {
        say!("{month}  attached -> dropped{}", if made { "" } else { "\nnothing was done; --apply does it" });
    }
    Ok(ExitCode::SUCCESS)
}
