//! The same load on a server as the embedded one is set, and on one with PostgreSQL's own defaults, in one run.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use serde_json::{Value, json};

use super::{
    options::Options,
    place::Place,
    report::{Report, heading},
    statements::Stock,
    write::{self, COLUMNS, Scenario},
};

const SCENARIOS: [Scenario; 3] = [
    Scenario { batch: 1, concurrency: 1, long: false },
    Scenario { batch: 1, concurrency: 16, long: false },
    Scenario { batch: 100, concurrency: 8, long: false },
];

/// What the embedded server writes anew at each start.
const TUNED: &str = "progress.conf";

/// Measures both, and prints what the one with defaults reaches of the other.
pub async fn run(data: &Path, stock: &Arc<Stock>, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let tuned = measure("tuned", Place::start(&data.join("tuned")).await?, stock, options).await?;
    let by_default = data.join("default");
    // The settings are there after the first start, and taken back for the second.
    let place = Place::start(&by_default).await?;
    let lines = defaults(&place, &fs::read_to_string(find(&by_default)?)?).await?;
    place.stop().await?;
    let file = find(&by_default)?.with_file_name("postgresql.conf");
    fs::OpenOptions::new().append(true).open(file)?.write_all(lines.as_bytes())?;
    let default = measure("default", Place::start(&by_default).await?, stock, options).await?;
    println!();
    for (name, (tuned, default)) in SCENARIOS.iter().map(Scenario::name).zip(tuned.iter().zip(&default)) {
        let rate = |figures: &Value| figures["per_second"].as_f64().unwrap_or_default();
        let ratio = rate(default) / rate(tuned).max(1.0);
        println!("{name}: with defaults {ratio:.2} of tuned");
        report.add("stock", &name, json!({ "tuned": tuned, "default": default, "ratio": ratio }));
    }
    fs::remove_dir_all(data)?;
    Ok(())
}

async fn measure(name: &str, place: Place, stock: &Arc<Stock>, options: &Options) -> anyhow::Result<Vec<Value>> {
    let owner = place.superuser().await?;
    let compiles: bool = owner.query_one("SELECT pg_jit_available()", &[]).await?.get(0);
    let compiles = if compiles { "compiles" } else { "cannot compile" };
    write::warm_up(&place, stock).await?;
    heading(&format!("POST /statements, {name} server, which {compiles}"), COLUMNS);
    let mut all = Vec::new();
    for scenario in &SCENARIOS {
        all.push(write::measure(&place, stock, scenario, options.seconds).await?);
    }
    place.stop().await?;
    Ok(all)
}

/// Lines that give each setting of `tuned` its default.
async fn defaults(place: &Place, tuned: &str) -> anyhow::Result<String> {
    let names: Vec<&str> = tuned
        .lines()
        .filter_map(|line| Some(line.split_once(" = ")?.0))
        .filter(|name| !name.starts_with('#'))
        .collect();
    let sql = "SELECT string_agg(format('%s = %L', name, boot_val), E'\\n') FROM pg_settings
        WHERE name = ANY($1) AND boot_val <> ''";
    let lines: String = place.superuser().await?.query_one(sql, &[&names]).await?.get(0);
    Ok(format!("\n{lines}\n"))
}

fn find(folder: &Path) -> anyhow::Result<PathBuf> {
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name == TUNED) {
                return Ok(path);
            }
            if path.is_dir() && !path.is_symlink() {
                waiting.push(path);
            }
        }
    }
    None.with_context(|| format!("no {TUNED} under the data"))
}
