//! `courses`: the structures of a tenant's cmi5 courses: add one, list them.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::Subcommand;
use serde_json::json;

use super::{
    access::{self, BY},
    beside::with_database,
};
use crate::{
    cmi5::Structure,
    model::{Clock, Ids},
    projections::courses::{self, CourseRow},
    store::Store,
};

#[derive(clap::Args)]
pub struct Args {
    /// Whose courses: a tenant's id or name
    #[arg(long, global = true, default_value = "default")]
    tenant: String,
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Keep the structure of a course, in the place of the one it had
    Add {
        /// The cmi5.xml of the course's package
        file: PathBuf,
    },
    /// Print the courses whose structure is known
    List,
}

const PAGE: i64 = 500;

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let loaded = super::begin()?;
    super::runtime()?.block_on(with_database(&loaded.config, async |database| {
        let identity = database.identity(&loaded.config, Clock::system(), Ids::random())?;
        let tenant = access::tenant(&identity, &args.tenant).await?;
        let store = Store::open(&database.settings)?;
        match &args.command {
            Command::Add { file } => {
                let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
                let structure = Structure::read(&text).map_err(|why| anyhow::anyhow!("{}: {why}", file.display()))?;
                print(&courses::put(&store, BY, tenant, &structure).await?.0, args.json);
            }
            Command::List => {
                let mut after = None;
                loop {
                    let page = courses::list(&store, tenant, after, PAGE).await?;
                    page.iter().for_each(|course| print(course, args.json));
                    after = page.last().map(|last| last.key);
                    if (page.len() as i64) < PAGE {
                        break;
                    }
                }
            }
        }
        store.close();
        Ok(ExitCode::SUCCESS)
    }))
}

fn print(course: &CourseRow, json: bool) {
    let CourseRow { key, structure, updated_at, .. } = course;
    let units = structure.units().len();
    if json {
        say!(
            "{}",
            json!({ "id": key, "courseId": structure.id, "title": structure.title, "units": units, "updatedAt": updated_at })
        );
    } else {
        say!("{key}  {units:>4} units  {}  {}", structure.id, structure.title);
    }
}
