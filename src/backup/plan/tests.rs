//! Which backup is meant, due, good and superfluous.

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

fn day(number: u32) -> DateTime<Utc> {
    DateTime::from_timestamp(i64::from(number) * 86_400, 0).unwrap()
}

fn kept(id: &str, made: u32, good: Option<bool>) -> Kept {
    let server = Server {
        system: "1".into(),
        major: 18,
        database: "d".into(),
        owner: "o".into(),
        service: "s".into(),
        superuser: "p".into(),
    };
    let manifest = Manifest {
        format: FORMAT,
        id: id.into(),
        kind: Kind::Embedded,
        reason: "by hand".into(),
        release: "0.2.0".into(),
        began_at: day(made),
        ended_at: day(made),
        server,
        installation: Uuid::nil(),
        epoch: 1,
        schema: None,
        migrations: vec!["platform/001_a".into()],
        key: None,
        volumes: Vec::new(),
        bound: day(made),
        before: Vec::new(),
        after: Vec::new(),
        segments: Vec::new(),
        first_log: Some(format!("00000001{made:016X}")),
    };
    let verified = good.map(|good| Verified {
        at: day(made),
        faults: if good { Vec::new() } else { vec!["it is damaged".into()] },
        statements: 0,
        tables: 0,
        rows: 0,
    });
    Kept { manifest, verified }
}

fn id(kept: &Kept) -> &str {
    &kept.manifest.id
}

#[test]
fn a_backup_is_named_by_its_beginning_or_by_what_it_is() {
    let all = [kept("2026a", 1, Some(true)), kept("2026b", 3, Some(false)), kept("2025", 2, None)];
    assert_eq!(id(named(&all, "latest").unwrap()), "2026b");
    assert_eq!(id(named(&all, "verified").unwrap()), "2026a", "one that was found bad is not good");
    assert_eq!(id(named(&all, "2025").unwrap()), "2025");
    assert!(named(&all, "2026").unwrap_err().contains("2 backups begin"));
    assert!(named(&all, "x").unwrap_err().contains("there is no backup \"x\""));
    assert!(named(&[], "verified").unwrap_err().contains("no backup was verified"));
}

#[test]
fn a_backup_is_due_by_its_age_and_then_its_proof() {
    assert_eq!(due(&[], DAY, day(1)), Due::Make);
    assert_eq!(due(&[kept("a", 1, None)], DAY, day(1)), Due::Verify);
    assert_eq!(due(&[kept("a", 1, Some(true))], DAY, day(1)), Due::Nothing);
    assert_eq!(due(&[kept("a", 1, Some(true))], DAY, day(2)), Due::Make);
    let mut part = kept("b", 2, None);
    part.manifest.schema = Some("ledger".into());
    assert_eq!(due(&[kept("a", 1, Some(true)), part], DAY, day(2)), Due::Make, "one schema is no whole");
}

#[test]
fn only_a_good_one_silences_the_alarm() {
    assert!(is_overdue(&[], DAY, day(1)));
    assert!(is_overdue(&[kept("a", 9, None), kept("b", 9, Some(false))], DAY, day(9)));
    assert!(!is_overdue(&[kept("a", 7, Some(true))], DAY, day(9)));
    assert!(is_overdue(&[kept("a", 6, Some(true)), kept("b", 9, None)], DAY, day(9)));
}

#[test]
fn the_newest_and_the_last_good_one_stay() {
    let all = [kept("a", 1, Some(true)), kept("b", 2, None), kept("c", 3, Some(false)), kept("d", 99, None)];
    let gone = |keep| superfluous(&all, keep, DAY * 30, day(100)).into_iter().map(id).collect::<Vec<_>>();
    assert_eq!(gone(1), ["c", "b"]);
    assert_eq!(gone(3), [""; 0]);
    assert_eq!(gone(0), ["c", "b"], "one is always kept");
}

#[test]
fn the_log_before_the_oldest_backup_may_go() {
    let names: Vec<String> =
        [1, 2, 3].map(|at| format!("00000002{at:016X}")).into_iter().chain(["00000002.history".into()]).collect();
    assert_eq!(superfluous_log(&names, &[kept("a", 2, None), kept("b", 3, None)]), [&names[0]]);
    let mut silent = kept("c", 3, None);
    silent.manifest.first_log = None;
    assert!(superfluous_log(&names, &[kept("a", 2, None), silent]).is_empty(), "one may need all of it");
    assert!(superfluous_log(&names, &[]).is_empty(), "without a backup nothing is known to be superfluous");
}

#[test]
fn what_comes_back_must_be_what_went_in() {
    let cell = |rows, digest: &str| Cell { tenant: Uuid::nil(), month: "2026-01".into(), rows, digest: digest.into() };
    let before = [cell(5, "a")];
    assert!(differences(&before, &[], &before).is_empty());
    assert!(differences(&before, &[], &[cell(4, "b")])[0].contains("had 5 statements, and 4 came back"));
    assert!(differences(&before, &[], &[cell(5, "b")])[0].contains("their digest differs"));
    assert_eq!(differences(&before, &[], &[]).len(), 1);
    assert_eq!(differences(&[], &[], &before).len(), 1, "nor may anything come that nobody put in");
    let after = [cell(3, "c")];
    assert!(differences(&before, &after, &[cell(4, "d")]).is_empty(), "somebody was erased meanwhile");
    assert_eq!(differences(&before, &after, &[cell(2, "e")]).len(), 1);
}

#[test]
fn a_newer_release_is_told_by_its_migrations() {
    let one = kept("a", 1, None).manifest;
    assert_eq!(one.unknown_to(&[]), ["platform/001_a"]);
    assert!(one.unknown_to(&["platform/001_a".into(), "platform/002_b".into()]).is_empty());
}
