//! A course whose structure is known: `satisfied` is found out and said by the service, where the tenant asks for it.

use reqwest::Method;
use serde_json::{Value, json};

use super::unit::{SESSION, Unit, ada};
use crate::{
    api::{Api, settle},
    support::{
        app::{Answer, send},
        patience,
    },
    xapi::id,
};

const SETTINGS: &str = "/api/v1/admin/tenants/00000000-0000-4000-8000-000000000001/settings";
const COURSES: &str = "/api/v1/courses";
const PUBLISHER: &str = "https://publisher.example";

/// One block with two units, and a unit beside it that asks for nothing.
fn structure(second: &str) -> String {
    let text =
        "<title><langstring lang=\"en\">T</langstring></title><description><langstring>D</langstring></description>";
    let unit = |name: &str, move_on: &str| {
        format!(
            r#"<au id="{PUBLISHER}/{name}" moveOn="{move_on}">{text}<url>https://content.example/{name}</url></au>"#
        )
    };
    format!(
        r#"<?xml version="1.0"?><courseStructure xmlns="https://w3id.org/xapi/profiles/cmi5/v1/CourseStructure.xsd">
        <course id="{PUBLISHER}/course">{text}</course>
        <block id="{PUBLISHER}/block">{text}{}{}</block>{}</courseStructure>"#,
        unit("au-1", "CompletedAndPassed"),
        unit("au-2", second),
        unit("extra", "NotApplicable"),
    )
}

async fn give(api: &Api, text: String) -> Answer {
    let request = api.app.request(Method::POST, COURSES).header("Content-Type", "application/xml").body(text);
    api.checked(Method::POST, COURSES, request).await
}

async fn ask_for_it(api: &Api) {
    let request = api.app.request(Method::PUT, SETTINGS).json(&json!({"cmi5Satisfied": true}));
    api.checked(Method::PUT, SETTINGS, request).await.expect(200);
}

/// A unit of the course: its activity id is the LMS's, its publisher's id stands in the context template.
struct OfCourse<'a> {
    unit: Unit<'a>,
    name: &'static str,
}

impl<'a> OfCourse<'a> {
    async fn launched(api: &'a Api, name: &'static str) -> Self {
        let unit = Unit::launched(api, 1, json!({"activityId": format!("http://lms.example/activities/{name}")})).await;
        Self { unit, name }
    }

    fn statement(&self, n: u128, verb: &str) -> Value {
        let mut statement = self.unit.statement(n, verb);
        statement["object"]["id"] = json!(format!("http://lms.example/activities/{}", self.name));
        statement["context"]["contextActivities"]["grouping"] = json!([{"id": format!("{PUBLISHER}/{}", self.name)}]);
        statement
    }

    async fn says(&self, n: u128, verb: &str) {
        self.unit.send(&self.statement(n, verb)).await.expect(200);
    }
}

async fn said(api: &Api) -> Vec<Value> {
    let verb = "https://w3id.org/xapi/adl/verbs/satisfied";
    let page = api.app.get_statements(&[("verb", verb), ("ascending", "true")]).await.expect(200).json();
    page["statements"].as_array().unwrap().clone()
}

/// Waits until so many things are said to be satisfied, and answers them.
async fn until(api: &Api, count: usize) -> Vec<Value> {
    patience::until("what is satisfied", async || {
        settle(&api.app).await;
        let said = said(api).await;
        if said.len() == count { Ok(said) } else { Err(format!("{said:?}")) }
    })
    .await
}

/// Waits until nothing is left to be looked at.
async fn quiet(api: &Api) {
    settle(&api.app).await;
    let rows = api.app.db.superuser().await;
    patience::until("an empty queue", async || {
        let due = rows.query_one("SELECT count(*) FROM progress.satisfied_due", &[]).await.unwrap().get::<_, i64>(0);
        if due == 0 { Ok(()) } else { Err(due) }
    })
    .await;
}

on_each_server! {
    async fn block_and_course_are_said_to_be_satisfied_once(db: TestDatabase) {
        let api = Api::start(db).await;
        ask_for_it(&api).await;
        let course = give(&api, structure("Completed")).await.expect(201).json();
        assert_eq!((&course["courseId"], &course["units"]), (&json!(format!("{PUBLISHER}/course")), &json!(3)));
        let one = OfCourse::launched(&api, "au-1").await;
        for (n, verb) in [(1, "initialized"), (2, "completed"), (3, "passed"), (4, "terminated")] {
            one.says(n, verb).await;
        }
        quiet(&api).await;
        assert_eq!(said(&api).await, [Value::Null; 0], "a unit is missing");

        let two = OfCourse::launched(&api, "au-2").await;
        two.says(5, "initialized").await;
        two.says(6, "completed").await;
        let said_now = until(&api, 2).await;
        let kinds: Vec<&str> =
            said_now.iter().map(|one| one["object"]["definition"]["type"].as_str().unwrap().rsplit('/').next()
                .unwrap()).collect();
        assert_eq!(kinds, ["block", "course"]);
        for (statement, name) in said_now.iter().zip(["block", "course"]) {
            assert_eq!(statement["actor"]["account"], ada()["account"]);
            assert_eq!(statement["authority"]["account"]["name"], "progress-service", "the service speaks for itself");
            let context = &statement["context"];
            assert_eq!((&context["registration"], &context["extensions"][SESSION]), (&json!(id(1)), &json!(two.unit.session())));
            assert_eq!(context["contextActivities"]["grouping"][0]["id"], format!("{PUBLISHER}/{name}"));
            assert_ne!(statement["object"]["id"], format!("{PUBLISHER}/{name}"));
            let reason = &context["extensions"]["http://ghasi.io/xapi/extensions/satisfied-by"];
            assert_eq!(reason, &json!([id(2), id(3), id(6)]), "with what proves it");
        }
        settle(&api.app).await;
        let progress = patience::until("the attempt", async || {
            settle(&api.app).await;
            let progress = api.get(&format!("/api/v1/enrollments/{}/progress", id(1))).await.expect(200).json();
            if progress["overallState"] == "completed" { Ok(progress) } else { Err(progress) }
        })
        .await;
        assert_eq!(progress["units"].as_array().unwrap().len(), 2);
        two.says(7, "~experienced").await;
        quiet(&api).await;
        assert_eq!(said(&api).await.len(), 2, "once");
    }

    async fn without_a_structure_or_the_tenants_word_nothing_is_said(db: TestDatabase) {
        let api = Api::start(db).await;
        let one = OfCourse::launched(&api, "au-1").await;
        let two = OfCourse::launched(&api, "au-2").await;
        for (n, verb) in [(1, "initialized"), (2, "completed"), (3, "passed")] {
            one.says(n, verb).await;
            two.says(n + 10, verb).await;
        }
        give(&api, structure("Completed")).await.expect(201);
        quiet(&api).await;
        assert_eq!(said(&api).await.len(), 0, "nobody has asked for it");
        ask_for_it(&api).await;
        assert_eq!(until(&api, 2).await.len(), 2, "what was said before counts");
        quiet(&api).await;
    }

    async fn a_course_that_is_told_later_counts_for_what_is_open(db: TestDatabase) {
        let api = Api::start(db).await;
        ask_for_it(&api).await;
        let one = OfCourse::launched(&api, "au-1").await;
        let two = OfCourse::launched(&api, "au-2").await;
        for (n, verb) in [(1, "initialized"), (2, "completed"), (3, "passed")] {
            one.says(n, verb).await;
        }
        two.says(11, "initialized").await;
        two.says(12, "completed").await;
        quiet(&api).await;
        assert_eq!(said(&api).await.len(), 0, "of a course that nobody has told us nothing is guessed");
        give(&api, structure("Passed")).await.expect(201);
        quiet(&api).await;
        assert_eq!(said(&api).await.len(), 0, "the second unit is not passed");
        let again = give(&api, structure("Completed")).await.expect(200).json();
        assert_eq!(until(&api, 2).await.len(), 2);
        quiet(&api).await;
        let listed = api.all(COURSES).await;
        assert_eq!((listed.len(), &listed[0]), (1, &again));
    }

    async fn a_structure_that_cannot_be_read_holds_nobody_up(db: TestDatabase) {
        let api = Api::start(db).await;
        ask_for_it(&api).await;
        give(&api, structure("Completed")).await.expect(201);
        let spoilt = "UPDATE progress.courses SET structure = '{}'";
        assert_eq!(api.app.db.superuser().await.execute(spoilt, &[]).await.unwrap(), 1);
        let one = OfCourse::launched(&api, "au-1").await;
        let two = OfCourse::launched(&api, "au-2").await;
        for (n, verb) in [(1, "initialized"), (2, "completed"), (3, "passed")] {
            one.says(n, verb).await;
            two.says(n + 10, verb).await;
        }
        quiet(&api).await;
        assert_eq!(said(&api).await.len(), 0);
        give(&api, structure("Completed")).await.expect(200);
        assert_eq!(until(&api, 2).await.len(), 2, "once it can be read");
        quiet(&api).await;
    }

    async fn what_is_no_course_is_refused_with_the_reason(db: TestDatabase) {
        let api = Api::start(db).await;
        for (text, named) in [
            ("just some text".to_owned(), "no element"),
            (structure("Sometimes"), "moveOn"),
            (structure("Passed").replace("https://content.example/au-1", "index.html"), "fully qualified"),
        ] {
            let answer = give(&api, text).await.expect(400).json();
            assert_eq!(answer["violations"][0]["rule"], "api.course");
            assert!(answer["violations"][0]["message"].as_str().unwrap().contains(named), "{answer}");
        }
        let json = api.app.request(Method::POST, COURSES).json(&json!({}));
        api.checked(Method::POST, COURSES, json).await.expect(415);
        let large = give(&api, "x".repeat((4 << 20) + 1)).await;
        assert_eq!(large.status.as_u16(), 413);
        let anonymous = api.app.anonymous(Method::POST, COURSES).header("Content-Type", "application/xml")
            .body(structure("Passed"));
        api.checked(Method::POST, COURSES, anonymous).await.expect(401);
        let reader = api.app.post("/api/v1/admin/credentials", &json!({"scopes": ["all"]})).await.expect(201).json();
        let (key, secret) = (reader["apiKey"].as_str().unwrap(), reader["secret"].as_str());
        let refused = api.app.anonymous(Method::POST, COURSES).basic_auth(key, secret).header("Content-Type", "application/xml");
        api.checked(Method::POST, COURSES, refused.body(structure("Passed"))).await.expect(403);
        assert_eq!(send(api.app.request(Method::GET, COURSES)).await.json()["data"], json!([]));
    }
}
