//! What one statement costs to read: JSON, rules, and (for comparison) the published schema.

use std::hint::black_box;

use anyhow::{Context, ensure};
use criterion::{Criterion, Throughput};
use progress_service::xapi::{Limits, Version, json, read, schema};

fn read_statements(criterion: &mut Criterion) -> anyhow::Result<()> {
    let limits = Limits::default();
    let seed = include_bytes!("../fuzz/seeds/read_statements/answered.json");
    let value = json::parse(seed, &limits).ok().context("the seed is no JSON")?;
    let body = value.to_string();
    ensure!(read::statements(body.as_bytes(), Version::V2_0_0, &limits).is_ok(), "the seed is not valid by the rules");
    ensure!(schema::accepts(Version::V2_0_0, &value), "the seed is not valid by the schema");

    let mut group = criterion.benchmark_group("one statement");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("json", |b| b.iter(|| json::parse(black_box(body.as_bytes()), &limits)));
    group.bench_function("json and rules", |b| {
        b.iter(|| read::statements(black_box(body.as_bytes()), Version::V2_0_0, &limits));
    });
    group.bench_function("serde_json, for comparison", |b| {
        b.iter(|| serde_json::from_slice::<serde_json::Value>(black_box(body.as_bytes())));
    });
    group.bench_function("schema, for comparison", |b| b.iter(|| schema::accepts(Version::V2_0_0, black_box(&value))));
    group.finish();
    Ok(())
}

// Not criterion's own, which cannot fail: the figures of a sample that is refused would look like good ones.
fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    read_statements(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}
