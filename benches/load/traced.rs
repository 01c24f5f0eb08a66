//! What it costs to tell a collector of requests: the same load untraced, with a twentieth of all requests traced, and with every one, in
//! turns in one run.

use std::{path::Path, sync::Arc};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use super::{
    options::Options,
    place::Place,
    report::{Report, heading},
    statements::Stock,
    write::{self, COLUMNS, Scenario},
};

const SCENARIOS: [Scenario; 2] =
    [Scenario { batch: 1, concurrency: 16, long: false }, Scenario { batch: 100, concurrency: 8, long: false }];
/// By the share of requests that are traced; empty: nobody is told of any.
const SHARES: [&str; 3] = ["", "0.05", "1"];
/// Each is measured so often, since a machine has better and worse minutes.
const TURNS: usize = 3;

pub async fn run(data: &Path, stock: &Arc<Stock>, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let collector = format!("http://{}", listener.local_addr()?);
    let listening = tokio::spawn(collect(listener));
    let mut place = Place::start(data).await?;
    write::warm_up(&place, stock).await?;
    let mut rates = [[0.0; SHARES.len()]; SCENARIOS.len()];
    for turn in 1..=TURNS {
        for (at, share) in SHARES.into_iter().enumerate() {
            let told =
                [("PROGRESS_TELEMETRY_OTLP_ENDPOINT", collector.as_str()), ("PROGRESS_TELEMETRY_SAMPLE_RATIO", share)];
            place.serve_told(if share.is_empty() { &[] } else { &told }).await?;
            let what = if share.is_empty() { "untraced".to_owned() } else { format!("{share} of requests traced") };
            heading(&format!("POST /statements, {what}, turn {turn} of {TURNS}"), COLUMNS);
            for (scenario, rates) in SCENARIOS.iter().zip(&mut rates) {
                let figures = write::measure(&place, stock, scenario, options.seconds).await?;
                rates[at] += figures["per_second"].as_f64().unwrap_or_default() / TURNS as f64;
            }
        }
    }
    place.stop().await?;
    listening.abort();
    println!();
    for (name, rates) in SCENARIOS.iter().map(Scenario::name).zip(rates) {
        let [untraced, some, all] = rates;
        let of = |rate: f64| rate / f64::max(untraced, 1.0);
        println!("{name}: a twentieth traced {:.2} of untraced, all {:.2}", of(some), of(all));
        let figures: Value = json!({ "untraced": untraced, "some": of(some), "all": of(all) });
        report.add("traced", &name, figures);
    }
    std::fs::remove_dir_all(data)?;
    Ok(())
}

/// Takes whatever comes and says that it is well, as a collector does that has nothing to say.
async fn collect(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(take(stream));
    }
}

async fn take(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or_default();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        tokio::io::copy(&mut (&mut stream).take(length), &mut tokio::io::sink()).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
    }
}
