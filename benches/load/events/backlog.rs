//! A ledger that has waited: how fast projections read it, the relay sends it, and a rebuild reads it again.

use std::{sync::Arc, time::Instant};

use anyhow::bail;
use chrono::DateTime;
use serde_json::json;
use tokio_postgres::Client;

use super::super::{
    broker::Broker,
    dearest, fill,
    options::Options,
    place::Place,
    report::{Report, heading},
    standing::{Standing, stored_after, until, untold},
    statements::Stock,
};

pub async fn run(
    place: &mut Place,
    broker: &Broker,
    stock: &Arc<Stock>,
    options: &Options,
    report: &mut Report,
) -> anyhow::Result<()> {
    // The fill does not reserve its moments, so nothing may read meanwhile.
    place.stop_service().await?;
    fill::run(place, stock, options.backlog).await?;
    heading(&format!("A backlog of {} statements", options.backlog), "                    a second   seconds");
    let owner = place.superuser().await?;
    dearest::reset(&owner).await?;
    projections(place, &owner, options, report).await?;
    dearest::print(&owner, "the projections").await?;
    relay(place, broker, &owner, report).await?;
    dearest::print(&owner, "the relay").await?;
    rebuild(place, options, report).await?;
    dearest::print(&owner, "the rebuild").await
}

/// The live step, while nothing else goes on; then the relay will be alone.
async fn projections(place: &mut Place, owner: &Client, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    place.serve(None).await?;
    let begun = Instant::now();
    until(owner, Standing::is_projected).await?;
    line("projected", options.backlog, begun.elapsed().as_secs_f64(), report);
    Ok(())
}

/// From the first sight of a moved cursor to its arrival, so that starting up does not count. What projections have
/// told goes out beside the statements and counts as events too.
async fn relay(place: &mut Place, broker: &Broker, owner: &Client, report: &mut Report) -> anyhow::Result<()> {
    place.serve(Some(&broker.address)).await?;
    let begun = Instant::now();
    let first = until(owner, |standing| standing.sent > DateTime::UNIX_EPOCH).await?.sent;
    let (seen, cpu, before) = (Instant::now(), place.cpu(), broker.cpu_seconds());
    let told = untold(owner).await?;
    until(owner, Standing::is_sent).await?;
    let took = seen.elapsed().as_secs_f64();
    let (cpu, of_broker) = (place.cpu().since(cpu), broker.cpu_seconds() - before);
    let statements = stored_after(owner, first).await?;
    let events = statements + (told - untold(owner).await?);
    line("statement.stored", statements, took, report);
    line("all events", events, took, report);
    let each = |seconds: f64| seconds * 1e6 / events.max(1) as f64;
    let (service, database, of_broker) = (each(cpu.service), each(cpu.database), each(of_broker));
    println!("  CPU us/event: service {service:.1}, database {database:.1}, broker {of_broker:.1}");
    let figures = json!({"service_us": service, "database_us": database, "broker_us": of_broker});
    report.add("events", "relay_cpu_each", figures);
    until(owner, Standing::is_all_out).await?;
    println!("  all of it was out {:.2} s after the start", begun.elapsed().as_secs_f64());
    Ok(())
}

/// The whole command, beside a service that serves, with the comparison at its end.
async fn rebuild(place: &Place, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let (begun, cpu) = (Instant::now(), place.cpu());
    let output = place.program().args(["projections", "rebuild", "--json"]).output().await?;
    let took = begun.elapsed().as_secs_f64();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() || !said.contains(r#""same":true"#) {
        bail!("the rebuild ended with {}: {said}", output.status);
    }
    line("rebuilt", options.backlog, took, report);
    let database = place.cpu().since(cpu).database * 1e6 / options.backlog.max(1) as f64;
    println!("  CPU us/statement: database {database:.1}");
    report.add("events", "rebuild_cpu_each", json!({"database_us": database}));
    Ok(())
}

fn line(name: &str, count: usize, seconds: f64, report: &mut Report) {
    let rate = count as f64 / seconds.max(1e-3);
    println!("{name:<19} {rate:>8.0} {seconds:>9.2}");
    report.add("events", name, json!({"per_second": rate, "seconds": seconds, "count": count}));
}
