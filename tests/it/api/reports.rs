//! Reports: counts of activity, how attempts went, and how many people were active; of one's own tenant, and of nobody alone.

use chrono::{Days, NaiveDate};
use serde_json::{Value, json};

use super::{
    ADA, Api, EVE,
    access::{basic, key},
    statement,
};
use crate::{
    support::pg::TestDatabase,
    xapi::{id, identified, voiding},
};

const PATHS: [&str; 3] = ["/api/v1/reports/activity", "/api/v1/reports/completions", "/api/v1/reports/learners"];

/// Ada passes and fails in `course 1`; somebody does something in no course.
async fn told(db: TestDatabase) -> Api {
    let api = Api::start(db).await;
    api.store(&[
        statement(1, ADA, "initialized", "e1", "a1"),
        statement(2, ADA, "failed", "e1", "a1"),
        statement(3, ADA, "initialized", "e1", "a2"),
        statement(4, ADA, "passed", "e1", "a2"),
        statement(5, EVE, "initialized", "e2", "a3"),
        identified(&id(6), "bob", "a"),
        statement(7, EVE, "answered", "e2", "a3"),
        voiding(&id(20), &id(7)),
    ])
    .await;
    api
}

fn numbers(data: &[Value], key: &str) -> Vec<(String, i64)> {
    let one = |one: &Value| (one[key].as_str().unwrap_or_default().to_owned(), one["statements"].as_i64().unwrap());
    data.iter().map(one).collect()
}

fn by(pairs: &[(&str, i64)]) -> Vec<(String, i64)> {
    pairs.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect()
}

on_each_server! {
    async fn activity_adds_up_by_day_verb_and_course(db: TestDatabase) {
        let api = told(db).await;
        let days = api.all("/api/v1/reports/activity").await;
        assert_eq!(days.iter().map(|day| day["statements"].as_i64().unwrap()).sum::<i64>(), 6, "{days:?}");
        assert!(days.iter().all(|day| day["day"].is_string() && day.get("courseId").is_none()), "{days:?}");
        let mut verbs = numbers(&api.all("/api/v1/reports/activity?by=verb&page[size]=1").await, "verbId");
        verbs.sort();
        let adl = |verb: &str| format!("http://adlnet.gov/expapi/verbs/{verb}");
        let expected = [("experienced", 1), ("failed", 1), ("initialized", 3), ("passed", 1)];
        assert_eq!(verbs, expected.map(|(verb, count)| (adl(verb), count)), "in pages of one");
        let courses = api.all("/api/v1/reports/activity?by=course").await;
        assert_eq!(numbers(&courses, "courseId"), by(&[("", 1), ("course 1", 5)]));
        assert!(courses[0].get("courseId").is_none());
        let one = api.all("/api/v1/reports/activity?by=course&filter[courseId]=course%201").await;
        assert_eq!(numbers(&one, "courseId"), by(&[("course 1", 5)]));
        let before = api.get("/api/v1/reports/activity?from=2020-01-01&to=2020-12-31").await.expect(200).json();
        assert_eq!((&before["data"], &before["countedSince"]), (&json!([]), &Value::Null));
        assert!(before["countedThrough"].is_string(), "{before}");
    }

    async fn completions_say_how_the_attempts_went_that_began(db: TestDatabase) {
        let api = told(db).await;
        let days = "from=2026-11-01&to=2026-11-01";
        let data = api.all(&format!("/api/v1/reports/completions?{days}")).await;
        let day = json!([{"day": "2026-11-01", "begun": 3, "open": 1, "passed": 1, "failed": 1, "incomplete": 0, "abandoned": 0,
            "completionRate": 0.3333}]);
        assert_eq!(json!(data), day);
        let mut course = day.clone();
        course[0].as_object_mut().unwrap().remove("day");
        course[0]["courseId"] = json!("course 1");
        assert_eq!(json!(api.all(&format!("/api/v1/reports/completions?by=course&{days}")).await), course);
        for none in ["from=2026-10-31&to=2026-10-31", "from=2026-11-02&to=2026-11-02", &format!("{days}&filter[courseId]=other")] {
            assert_eq!(api.all(&format!("/api/v1/reports/completions?{none}")).await, Vec::<Value>::new(), "{none}");
        }
    }

    async fn a_number_of_few_people_is_not_told(db: TestDatabase) {
        let api = Api::start(db).await;
        // Three days of the past: nine people, the same and a tenth, and the tenth alone.
        let today = api.app.clock.now().date_naive();
        let ago = |days: u64| today.checked_sub_days(Days::new(days)).unwrap();
        let client = api.app.db.superuser().await;
        let active = "INSERT INTO progress.learner_days SELECT '00000000-0000-4000-8000-000000000001', $1::date,
            lpad(n::text, 32, '0')::uuid FROM generate_series($2::integer, $3::integer) AS n";
        for (days, from, to) in [(20, 1, 9), (10, 1, 10), (8, 10, 10), (3, 11, 22)] {
            client.execute(active, &[&ago(days), &from, &to]).await.unwrap();
        }
        // Of another tenant.
        client.execute(&*active.replace("0001'", "0002'"), &[&ago(20), &100, &120]).await.unwrap();
        let learners = async |window: &str, day: NaiveDate| {
            let report = api.get(&format!("/api/v1/reports/learners?{window}&from={day}&to={day}")).await.expect(200).json();
            let data = report["data"].as_array().unwrap().clone();
            assert_eq!((data.len(), &data[0]["day"]), (1, &json!(day)), "{report}");
            data[0].clone()
        };
        for (window, days, told) in [
            ("window=1", 20, None), ("window=1", 10, Some(10)), ("window=1", 8, None), ("window=1", 3, Some(12)),
            ("window=1", 2, None), ("window=7", 14, None), ("window=7", 10, Some(10)), ("window=7", 4, Some(10)),
            ("window=7", 3, Some(13)), ("window=7", 1, Some(12)), ("window=30", 3, Some(22)), ("window=30", 0, Some(22)),
            ("window=7", 8, Some(10)), ("", 10, Some(10)),
        ] {
            let one = learners(window, ago(days)).await;
            let expected = told.map_or(json!({"day": ago(days), "fewerThan": 10}), |n| json!({"day": ago(days), "learners": n}));
            assert_eq!(one, expected, "{window}, {days} days ago");
        }
        // Whoever is hidden is not among them.
        client.batch_execute("INSERT INTO ledger.hidden_persons (tenant_id, erasure_id, agent_key)
            VALUES ('00000000-0000-4000-8000-000000000001', gen_random_uuid(), lpad('10', 32, '0')::uuid)").await.unwrap();
        assert_eq!(learners("window=1", ago(10)).await["fewerThan"], 10);
        let whole = api.get("/api/v1/reports/learners").await.expect(200).json();
        assert_eq!(whole["data"].as_array().unwrap().len(), 30, "{whole}");
        client.batch_execute("TRUNCATE progress.learner_days; DELETE FROM ledger.hidden_persons").await.unwrap();
    }

    async fn a_report_as_csv_is_the_whole_of_it_and_no_cell_is_a_formula(db: TestDatabase) {
        let api = told(db).await;
        let client = api.app.db.superuser().await;
        // More courses than are read at once, and one whose name a spreadsheet would compute.
        let more = "INSERT INTO progress.activity (tenant_id, day, verb_key, course_id, statements)
            SELECT tenant_id, day, verb_key, c, 2 FROM (SELECT * FROM progress.activity LIMIT 1) a,
                (SELECT 'many ' || n AS c FROM generate_series(1, 1200) n UNION ALL SELECT '=1+1') c";
        client.batch_execute(more).await.unwrap();
        let found = api.get("/api/v1/reports/activity?by=course&format=csv").await.expect(200);
        assert_eq!(found.header("content-type"), "text/csv; charset=utf-8");
        assert!(found.header("content-disposition").contains("activity.csv"));
        let text = found.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], lines.len()), ("courseId,statements", 1 + 2 + 1201), "{}", &text[..200]);
        assert!(lines.contains(&"'=1+1,2") && lines.contains(&"course 1,5") && lines.contains(&",1"), "{}", &text[..200]);
        let asked = api.app.request(reqwest::Method::GET, "/api/v1/reports/completions?from=2026-11-01&to=2026-11-01");
        let found = crate::support::app::send(asked.header("Accept", "text/csv")).await.expect(200).text();
        assert_eq!(found, "day,begun,open,passed,failed,incomplete,abandoned,completionRate\r\n2026-11-01,3,1,1,1,0,0,0.3333\r\n");
        let learners = api.get("/api/v1/reports/learners?format=csv").await.expect(200).text();
        assert_eq!(learners.lines().count(), 31, "{learners}");
        assert!(learners.lines().skip(1).all(|line| line.ends_with(",,10")), "a number of few is told no more than in JSON: {learners}");
        for refused in ["activity?format=csv&page[size]=2", "completions?format=pdf"] {
            api.get(&format!("/api/v1/reports/{refused}")).await.expect(400);
        }
        client.batch_execute("DELETE FROM progress.activity WHERE statements = 2 AND (course_id LIKE 'many %' OR course_id = '=1+1')").await.unwrap();
    }

    async fn reports_are_for_who_reads_everybody_of_the_tenant(db: TestDatabase) {
        let api = told(db).await;
        let scopes = "statement:read transcript:read";
        for path in PATHS {
            for allowed in [key(&api, &["statement:read"], "").await, key(&api, &["transcript:read"], "").await, api.token("lms", scopes)] {
                api.get_as(&allowed, path).await.expect(200);
            }
            let own = api.get_as(&api.token(ADA, scopes), path).await.expect(403).json();
            assert!(own["detail"].as_str().unwrap().contains("everybody"), "{own}");
            api.get_as(&key(&api, &["all"], "").await, path).await.expect(403);
        }
        let tenant = api.post("/api/v1/admin/tenants", &json!({"name": "acme"})).await.expect(201).json();
        let made = api.post(&format!("/api/v1/admin/credentials?tenantId={}", tenant["id"].as_str().unwrap()),
            &json!({"scopes": ["statement:read"]})).await.expect(201).json();
        for path in &PATHS[..2] {
            let theirs = api.get_as(&basic(&made), &format!("{path}?to=2026-11-30")).await.expect(200).json();
            assert_eq!(theirs["data"], json!([]), "{path}");
        }
    }

    async fn parameters_that_mean_nothing_are_refused_by_name(db: TestDatabase) {
        let api = Api::start(db).await;
        for (path, name) in [
            ("activity?from=yesterday", "from"), ("activity?to=2026-02-30", "to"), ("activity?from=2026-02-02&to=2026-02-01", "from"),
            ("activity?from=2024-01-01&to=2026-01-01", "366"), ("completions?from=2026-01-01&to=2026-11-01", "92"),
            ("learners?from=2026-01-01&to=2026-03-01", "31"), ("learners?from=2020-01-01&to=2020-01-02", "179 days"),
            ("learners?from=2020-01-01&to=2020-01-02&window=30", "150 days"), ("learners?window=2", "window"),
            ("activity?by=person", "by"), ("completions?by=verb", "by"), ("activity?page[size]=0", "page[size]"),
            ("activity?page[cursor]=AAAAAAAAAAAAAAAAAAAAAAAAAAAA", "page[cursor]"), ("learners?by=day", "by"), ("activity?tenantId=x", "tenantId"),
        ] {
            let refused = api.get(&format!("/api/v1/reports/{path}")).await.expect(400).json();
            let message = refused["violations"][0]["message"].as_str().unwrap();
            assert!(message.contains(name), "{path}: {message}");
        }
    }
}
