//! Memory does not grow with the month: a child process writes, proves and reads one, and then one that is four times as long.

use std::process::Command;

use progress_service::{
    objects::{
        Objects,
        segment::{Filter, Key, Segment, Sizes, Writer, publish, verify},
    },
    telemetry::Aside,
};

use crate::support::{
    segments::{agent, everything, folder_store, noise, place, rows, writing},
    settings,
};

/// What it asks its own child to do.
const COUNT: &str = "TEST_SEGMENT_ROWS";

/// The most memory this process ever held, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn peak_of_a_child_with(count: u32) -> u64 {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "segments::memory::memory_does_not_grow_with_the_month", "--nocapture"])
        .env(COUNT, count.to_string())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    let peak = text.lines().find_map(|line| line.split_once("peak ")).map(|(_, number)| number.trim().parse().unwrap());
    peak.unwrap_or_else(|| panic!("{text}\n{}", String::from_utf8_lossy(&child.stderr)))
}

#[tokio::test]
async fn memory_does_not_grow_with_the_month() {
    if let Some(count) = settings::optional(COUNT) {
        one_month(count.parse().unwrap()).await;
        println!("peak {}", peak());
        return;
    }
    let (short, long) = (peak_of_a_child_with(8_000), peak_of_a_child_with(32_000));
    assert!(long < short + short / 2, "{short} KiB for a month, {long} for one four times as long");
}

async fn one_month(count: u32) {
    let folder = tempfile::tempdir().unwrap();
    let objects = Objects::over(folder_store(folder.path()));
    let place = place("2026-03");
    let sizes = Sizes { group_rows: 2_000, part_bytes: 1 << 20, ..Sizes::default() };
    let mut writer = Writer::new(&objects, writing(place, 1), sizes);
    // The rows of a month come as they are made; a sixteenth of a MiB would be no test of anything.
    let sample = rows(place, 1_000);
    let step = chrono::Duration::microseconds(1_000 * 60 * 60 * 24 * 28 / i64::from(count) * 1_000);
    for n in 0..count {
        let mut row = sample[n as usize % sample.len()].clone();
        row.payload = row.payload.replacen('{', &format!("{{\"noise\":\"{}\",", noise(n, 100)), 1);
        row.id = uuid::Uuid::from_u128(u128::from(n) << 64);
        row.stored = place.month.begin() + step * i32::try_from(n).unwrap();
        writer.push(row).await.unwrap();
    }
    let staged = writer.finish().await.unwrap();
    let done = publish(&objects, verify(&objects, staged, &Aside::default()).await.unwrap()).await.unwrap();
    let segment = Segment::open(&objects, done.manifest().clone(), None).unwrap();
    let (mut scan, mut read) = (segment.scan(), 0);
    while let Some(rows) = scan.next().await.unwrap() {
        read += rows.len();
    }
    assert_eq!(read, count as usize);
    let found = segment.select(&Filter::default().and(Key::Agent, agent(5).1, &[]), &everything()).await.unwrap();
    assert!(!found.is_empty());
}
