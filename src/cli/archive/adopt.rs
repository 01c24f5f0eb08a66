//! `archive adopt`: whose the archive is from now on.

use std::process::ExitCode;

use super::{Apply, Desk};
use crate::archive::{adopt::Adoption, jobs};

pub async fn run(desk: &Desk<'_>, apply: &Apply) -> anyhow::Result<ExitCode> {
    let adoption = desk.archive.adoption().await?;
    let Adoption { installation, epoch, is_here, begins, segments } = &adoption;
    if !desk.json {
        say!(
            "installation {installation}, epoch {epoch}, {}",
            if *is_here { "begun in this database" } else { "begun in another database" }
        );
        if adoption.is_done() {
            say!("the archive is this database's already");
            return Ok(ExitCode::SUCCESS);
        }
        if *begins {
            say!("a new epoch begins here: whatever database was the archive's until now is refused from then on");
        }
        say!("{} segments become this database's", segments.len());
    }
    desk.perform(jobs::ADOPT, None, &adoption.to_json(), apply).await
}
