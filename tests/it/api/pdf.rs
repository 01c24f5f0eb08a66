//! Transcripts as PDF, read back with poppler's tools: what a person would see and copy.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta};
use progress_service::{
    model::score::Score,
    telemetry::Metrics,
    transcript::{Attempt, Course, Learner, OverallState, Press, Transcript},
};
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use super::{ADA, Api, statement};
use crate::xapi::id;

fn transcript(name: &str, attempts: usize) -> Transcript {
    let start = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
    let attempt = |n: usize| Attempt {
        id: format!("attempt {n}"),
        enrollment_id: "enrollment 7".into(),
        user_id: ADA.into(),
        course_id: "course 1".into(),
        course_version_id: "version 1".into(),
        attempt_number: i32::try_from(n).unwrap(),
        state: "closed".into(),
        started_at: start + TimeDelta::hours(i64::try_from(n).unwrap()),
        ended_at: Some(start + TimeDelta::hours(i64::try_from(n).unwrap()) + TimeDelta::minutes(25)),
        outcome: Some("failed".into()),
        score: Score::parse("0.4375"),
        duration_seconds: Some(1_500),
        evidence_statement_ids: vec![Uuid::from_u128(n as u128)],
    };
    Transcript {
        enrollment_id: "enrollment 7".into(),
        learner: Learner { user_id: ADA.into(), name: Some(name.into()) },
        course: Course {
            course_id: "course 1".into(),
            course_version_id: "version 1".into(),
            activity_id: Some("http://x.example/course".into()),
            title: Some("Εισαγωγή – مقدمة".into()),
        },
        overall_state: OverallState::Failed,
        attempts: (1..=attempts).map(attempt).collect(),
        completion: None,
        generated_at: start,
    }
}

/// Poppler's answer about a PDF.
fn ask(tool: &str, arguments: &[&str], pdf: &[u8]) -> String {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("transcript.pdf");
    std::fs::write(&file, pdf).unwrap();
    let arguments: Vec<&str> =
        arguments.iter().map(|argument| if *argument == "FILE" { file.to_str().unwrap() } else { argument }).collect();
    let output = Command::new(tool).args(arguments).output();
    let output = output.unwrap_or_else(|e| panic!("{tool}: {e}; scripts/install-tools test installs it"));
    assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn text(pdf: &[u8]) -> String {
    ask("pdftotext", &["-enc", "UTF-8", "-layout", "FILE", "-"], pdf)
}

/// What stands beside a label, without the marks with which poppler frames text that runs from the right.
fn beside(text: &str, label: &str) -> String {
    let line =
        text.lines().find(|line| line.trim_start().starts_with(label)).unwrap_or_else(|| panic!("{label}: {text}"));
    let value = line.trim_start().trim_start_matches(label).trim();
    value.chars().filter(|c| !('\u{202A}'..='\u{202E}').contains(c)).collect()
}

fn press() -> (Press, Metrics) {
    let metrics = Metrics::new().unwrap();
    (Press::new(None, Duration::from_secs(600), &metrics), metrics)
}

#[tokio::test]
async fn names_of_every_script_come_out_as_they_went_in() {
    let (press, metrics) = press();
    for name in [
        "Zoë Ångström-Łukasiewicz",
        "Μαρία Παπαδοπούλου",
        "Мария Склодовская",
        "Nguyễn Thị Minh Khai",
        "مريم العربي",
        "מרים כהן",
        "प्रिया शर्मा",
        "สมชาย ใจดี",
        "Արամ Խաչատրյան",
        "შოთა რუსთაველი",
        "李小龙",
        "山田花子",
        "김민수",
    ] {
        let pdf = press.print(transcript(name, 1)).unwrap();
        assert_eq!(beside(&text(&pdf), "Learner"), name);
    }
    assert_eq!(metrics.transcript.missing_glyphs.get(), 0);
}

#[tokio::test]
async fn a_letter_that_no_font_has_is_seen_counted_and_never_a_blank() {
    let (press, metrics) = press();
    // From a private area: no font of any system has it.
    let pdf = press.print(transcript("Ann \u{10FFFD} Lee", 1)).unwrap();
    assert_eq!(beside(&text(&pdf), "Learner"), "Ann \u{FFFD} Lee");
    assert_eq!(metrics.transcript.missing_glyphs.get(), 1);
}

#[tokio::test]
async fn a_transcript_says_everything_and_numbers_its_pages() {
    let (press, _) = press();
    for (attempts, least) in [(0, 1), (1, 1), (500, 15)] {
        let pdf = press.print(transcript("Ada Lovelace", attempts)).unwrap();
        let info = ask("pdfinfo", &["FILE"], &pdf);
        let line =
            |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
        let pages: usize = line("Pages:").parse().unwrap();
        assert!(pages >= least, "{pages}");
        assert!(line("Title:").starts_with("Transcript: "), "{info}");
        assert_eq!(line("Tagged:"), "yes");
        let text = text(&pdf);
        assert!(text.contains(&format!("Page 1 of {pages}")) && text.contains(&format!("Page {pages} of {pages}")));
        assert_eq!(beside(&text, "Learner id"), ADA);
        assert_eq!(beside(&text, "Enrollment"), "enrollment 7");
        assert_eq!(beside(&text, "Generated"), "2026-11-18 11:06:40 UTC");
        assert_eq!(beside(&text, "State"), "failed");
        for n in 1..=attempts {
            assert!(text.contains(&Uuid::from_u128(n as u128).to_string()), "evidence of {n}");
        }
        assert_eq!(text.matches("0.4375").count(), attempts);
        assert_eq!(text.matches("25 min 0 s").count(), attempts);
        // Every page of the table has its head.
        assert_eq!(text.matches("Outcome").count(), if attempts == 0 { 0 } else { pages });
    }
}

on_each_server! {
    async fn the_format_is_the_one_that_was_asked_for(db: TestDatabase) {
        let api = Api::start(db).await;
        let mut passed = statement(2, ADA, "passed", "e1", "a1");
        passed["result"] = json!({"score": {"scaled": 1}});
        passed["actor"]["name"] = json!("Ада Лавлейс");
        api.store(&[statement(1, ADA, "initialized", "e1", "a1"), passed]).await;
        let path = "/api/v1/enrollments/e1/transcript";
        let ask = |query: &str, accept: &'static str| {
            let path = format!("{path}{query}");
            let request = api.app.request(Method::GET, &path).header("Accept", accept);
            let api = &api;
            async move { api.checked(Method::GET, &path, request).await.expect(200) }
        };
        for (query, accept, expected) in [
            ("", "*/*", "application/json"),
            ("?format=pdf", "*/*", "application/pdf"),
            ("?format=json", "application/pdf", "application/json"),
            ("", "application/pdf", "application/pdf"),
        ] {
            let answer = ask(query, accept).await;
            assert_eq!(answer.header("content-type"), expected, "{query} {accept}");
            if expected == "application/pdf" {
                assert!(answer.body.starts_with(b"%PDF-"));
                assert!(answer.header("cache-control").contains("no-store"));
                let text = text(&answer.body);
                assert_eq!(beside(&text, "Learner"), "Ада Лавлейс");
                assert_eq!(beside(&text, "Course"), "Engines");
                assert_eq!(beside(&text, "Score"), "1.0000");
                assert!(text.contains(&id(2)) && text.contains("passed"), "{text}");
            }
        }
        let own = api.get_as(&api.token(ADA, "transcript:read"), &format!("{path}?format=pdf")).await.expect(200);
        assert!(own.body.starts_with(b"%PDF-"));
    }
}

#[test]
fn names_without_end_cost_little_more_than_others_and_end_in_an_ellipsis() {
    let (press, _) = press();
    let print = |name: &str| {
        let started = Instant::now();
        let pdf = press.print(transcript(name, 1)).unwrap();
        (started.elapsed(), pdf)
    };
    print("Ann");
    // Three hundred words are the longest that is printed of anybody.
    let (ordinary, _) = print(&"Ann Ångström ".repeat(23));
    for name in [
        "x".repeat(900_000),
        "\u{645}".repeat(30_000),
        "👩‍👩‍👧‍👦".repeat(5_000),
        format!("e{}", "\u{301}".repeat(30_000)).repeat(4),
    ] {
        let (elapsed, pdf) = print(&name);
        assert!(elapsed < ordinary * 40, "{name:.20}…: {elapsed:?}, others {ordinary:?}");
        assert!(pdf.len() < 1 << 20);
    }
    let (_, pdf) = print(&"x".repeat(900_000));
    let text = text(&pdf);
    assert!(text.contains('…') && text.contains("longer than the 300 letters shown"), "{text}");
}

#[test]
fn what_is_not_listed_is_counted_and_what_is_late_is_given_up() {
    let (press, _) = press();
    let pdf = press.print(transcript("Ada", 503)).unwrap();
    assert!(text(&pdf).contains("Continued: 3 more attempts"));
    let hurried = Press::new(None, Duration::ZERO, &Metrics::new().unwrap());
    let late = hurried.print(transcript("Ada", 1)).unwrap_err().to_string();
    assert!(late.contains("format=json"), "{late}");
}
