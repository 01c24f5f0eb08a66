//! What one statement costs to read: JSON, rules, and (for comparison) the published schema.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use progress_service::xapi::{Limits, Version, json, read, schema};

fn read_statements(criterion: &mut Criterion) {
    let limits = Limits::default();
    let seed = include_bytes!("../fuzz/seeds/read_statements/answered.json");
    let Ok(value) = json::parse(seed, &limits) else {
        eprintln!("the seed is no JSON");
        return;
    };
    let body = value.to_string();

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
}

criterion_group!(benches, read_statements);
criterion_main!(benches);
