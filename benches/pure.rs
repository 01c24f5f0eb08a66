//! What one statement costs between its bytes and the ledger, without any IO: time by criterion, allocations counted.
#![expect(unsafe_code, reason = "a counting allocator cannot be written without")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    hint::black_box,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::Context;
use chrono::DateTime;
use criterion::{BatchSize, Criterion};
use progress_service::{
    model::score::Score,
    telemetry::Metrics,
    transcript::{Attempt, Course, Learner, OverallState, Press, Transcript},
    xapi::{Author, Limits, Prepared, Statement, Version, digest::digest, format, prepare, read},
};
use serde_json::json;
use uuid::Uuid;

/// The system's allocator, counting what it is asked for.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A lesson completed on a course platform: about what most traffic is.
fn body() -> String {
    json!({
        "id": "7ccd3322-e1a5-411a-a67d-6a735c76f119",
        "actor": {"objectType": "Agent", "name": "Ada Learner",
            "account": {"homePage": "https://idp.example.com", "name": "5f3c2f4e-user-1842"}},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/completed", "display": {"en-US": "completed"}},
        "object": {"objectType": "Activity", "id": "https://courses.example.com/safety-101/lessons/4", "definition": {
            "type": "http://adlnet.gov/expapi/activities/lesson",
            "name": {"en-US": "Lesson 4: Fire exits", "de-DE": "Lektion 4"},
            "description": {"en-US": "Where the exits are and how to reach them."}}},
        "result": {"completion": true, "success": true, "duration": "PT4M35.21S",
            "score": {"scaled": 0.85, "raw": 85, "min": 0, "max": 100}},
        "context": {"registration": "ec531277-b57b-4c15-8d91-d292c5b2b8f7", "language": "en-US", "platform": "Example LMS",
            "contextActivities": {"parent": [{"id": "https://courses.example.com/safety-101"}],
                "grouping": [{"id": "https://courses.example.com/catalog/2026"}]},
            "extensions": {"http://ghasi.io/xapi/extensions/attempt-id": "a1f2d3c4",
                "http://ghasi.io/xapi/extensions/attempt-number": 2}},
        "timestamp": "2026-11-20T10:15:30.123Z"
    })
    .to_string()
}

fn one(body: &str, limits: &Limits) -> Option<Statement> {
    read::statements(body.as_bytes(), Version::V1_0_3, limits).ok()?.statements.pop()
}

fn prepared(statement: Statement, author: &Author) -> Prepared {
    prepare(statement, author, Uuid::nil, DateTime::UNIX_EPOCH)
}

fn allocations<T>(name: &str, work: impl FnOnce() -> T) {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    black_box(work());
    println!("{name}: {} allocations", ALLOCATIONS.load(Ordering::Relaxed) - before);
}

fn pure(criterion: &mut Criterion) -> anyhow::Result<()> {
    let (body, limits) = (body(), Limits::default());
    let authority = json!({"objectType": "Agent", "account": {"homePage": "https://lrs.example.com", "name": "key"}});
    let authority = authority.as_object().cloned().unwrap_or_default();
    let author = Author::new(Uuid::from_u128(1), &authority, Version::V1_0_3);
    let statement = one(&body, &limits).context("the sample statement is not valid")?;
    let stored = prepared(statement.clone(), &author);
    let exact = |mut out: String| {
        format::with_stored(&mut out, &stored.payload, DateTime::UNIX_EPOCH, stored.has_timestamp);
        out
    };
    let page = || String::with_capacity(2 * stored.payload.len());

    println!("statement: {} bytes, payload: {} bytes", body.len(), stored.payload.len());
    allocations("read", || one(&body, &limits));
    let spare = statement.clone();
    allocations("prepare", || prepared(spare, &author));
    allocations("digest", || digest(statement.doc()));

    criterion.bench_function("read", |b| b.iter_with_large_drop(|| one(&body, &limits)));
    criterion.bench_function("prepare", |b| {
        b.iter_batched(|| statement.clone(), |statement| prepared(statement, &author), BatchSize::SmallInput);
    });
    criterion.bench_function("digest", |b| b.iter(|| digest(statement.doc())));
    criterion.bench_function("exact", |b| b.iter_batched(page, exact, BatchSize::SmallInput));
    Ok(())
}

/// A transcript of so many attempts, of a learner whose name runs from the right.
fn transcript(attempts: i32) -> Transcript {
    let attempt = |number: i32| Attempt {
        id: format!("attempt {number}"),
        enrollment_id: "enrollment".to_owned(),
        user_id: Uuid::nil().to_string(),
        course_id: "course".to_owned(),
        course_version_id: "version".to_owned(),
        attempt_number: number,
        state: "closed".to_owned(),
        started_at: DateTime::UNIX_EPOCH,
        ended_at: Some(DateTime::UNIX_EPOCH),
        outcome: Some("failed".to_owned()),
        score: Score::from_ten_thousandths(4_375),
        duration_seconds: Some(1_500),
        evidence_statement_ids: vec![Uuid::from_u128(number.unsigned_abs().into())],
    };
    Transcript {
        enrollment_id: "enrollment".to_owned(),
        learner: Learner { user_id: Uuid::nil().to_string(), name: Some("مريم العربي".to_owned()) },
        course: Course { title: Some("Μηχανές".to_owned()), ..Course::default() },
        overall_state: OverallState::Failed,
        attempts: (1..=attempts).map(attempt).collect(),
        completion: None,
        generated_at: DateTime::UNIX_EPOCH,
    }
}

fn printing(criterion: &mut Criterion) -> anyhow::Result<()> {
    let press = Press::new(None, Duration::from_secs(60), &Metrics::new()?);
    for attempts in [1, 500] {
        let transcript = transcript(attempts);
        press.print(transcript.clone()).context("the sample transcript cannot be printed")?;
        criterion.bench_function(&format!("transcript of {attempts}"), |b| b.iter(|| press.print(transcript.clone())));
    }
    Ok(())
}

// Not criterion's own, which cannot fail: the figures of a sample that is refused would look like good ones.
fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    pure(&mut criterion)?;
    printing(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}
