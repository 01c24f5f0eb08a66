//! A tenant that holds its units to cmi5's rules, and one that only counts.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    AU,
    unit::{MASTERY, Unit, ada, verdict},
};
use crate::{
    api::Api,
    support::app::send,
    xapi::{id, voiding},
};

const SETTINGS: &str = "/api/v1/admin/tenants/00000000-0000-4000-8000-000000000001/settings";

async fn set(api: &Api, settings: Value) -> Value {
    let request = api.app.request(Method::PUT, SETTINGS).json(&settings);
    api.checked(Method::PUT, SETTINGS, request).await.expect(200).json()
}

async fn strict(api: &Api) {
    assert_eq!(set(api, json!({"cmi5Strict": true})).await, json!({"cmi5Strict": true, "cmi5Satisfied": false}));
}

fn refused(rule: &str) -> (u16, Vec<String>) {
    (403, vec![rule.to_owned()])
}

fn fine() -> (u16, Vec<String>) {
    (200, vec![])
}

async fn counted(api: &Api, rule: &str, outcome: &str) -> bool {
    let metrics = send(api.app.anonymous(Method::GET, "/metrics")).await.text();
    metrics.contains(&format!("progress_cmi5_violations_total{{outcome=\"{outcome}\",rule=\"{rule}\"}}"))
}

on_each_server! {
    async fn a_session_is_held_to_its_order(db: TestDatabase) {
        let api = Api::start(db).await;
        strict(&api).await;
        let unit = Unit::launched(&api, 1, json!({"masteryScore": 0.8})).await;
        assert_eq!(unit.says(1, "~experienced").await, refused("cmi5.initialized.first"));
        assert_eq!(unit.says(2, "initialized").await, fine());
        assert_eq!(unit.says(2, "initialized").await, fine(), "the same again is no second one");
        assert_eq!(unit.says(3, "initialized").await, refused("cmi5.verb.twice"));
        assert_eq!(unit.says(4, "~experienced").await, fine());
        let mut without = unit.statement(5, "~experienced");
        without["context"]["extensions"] = json!({});
        assert_eq!(verdict(&unit.send(&without).await), refused("cmi5.session.missing"));

        let mut passed = unit.statement(6, "passed");
        passed["result"]["score"] = json!({"scaled": 0.7});
        passed["context"]["extensions"][MASTERY] = json!(0.8);
        let answer = unit.send(&json!([unit.statement(7, "~experienced"), passed])).await;
        assert_eq!(verdict(&answer), refused("cmi5.mastery"));
        let violation = &answer.json()["violations"][0];
        assert_eq!((&violation["statement"], &violation["pointer"]), (&json!(1), &json!("/result/score/scaled")));
        let there = api.app.get_statements(&[("statementId", &id(7))]).await;
        assert_eq!(there.status.as_u16(), 404, "all of a request is stored, or nothing");

        assert_eq!(unit.says(8, "passed").await, fine());
        assert_eq!(unit.says(9, "failed").await, refused("cmi5.verdict.twice"));
        assert_eq!(unit.says(10, "terminated").await, fine());
        assert_eq!(unit.says(10, "terminated").await, fine(), "also after the end");
        assert_eq!(unit.says(11, "~experienced").await, refused("cmi5.terminated.last"));
        let state = [("activityId", AU.to_owned()), ("agent", ada().to_string()), ("registration", id(1)),
            ("stateId", "s".into())];
        let read = send(unit.request(Method::GET, "/activities/state").query(&state)).await;
        assert_eq!(verdict(&read), refused("cmi5.terminated.last"), "a token is good for its session");

        let next = Unit::launched(&api, 1, json!({})).await;
        assert_eq!(next.says(20, "initialized").await, fine());
        assert_eq!(next.says(21, "passed").await, refused("cmi5.passed.twice"));
        assert_eq!(next.says(22, "failed").await, refused("cmi5.failed.after-passed"));
        assert_eq!(next.says(23, "completed").await, fine());
        assert!(counted(&api, "cmi5.passed.twice", "refused").await);
    }

    async fn of_two_who_say_it_at_once_one_is_first(db: TestDatabase) {
        let api = Api::start(db).await;
        strict(&api).await;
        let mut units = Vec::new();
        for n in 0..4 {
            let unit = Unit::launched(&api, 1, json!({})).await;
            assert_eq!(unit.says(n, "initialized").await, fine());
            units.push(unit);
        }
        let verdicts = join_all(units.iter().zip(10..).map(|(unit, n)| unit.says(n, "passed"))).await;
        let accepted = verdicts.iter().filter(|verdict| **verdict == fine()).count();
        let late = verdicts.iter().filter(|verdict| **verdict == refused("cmi5.passed.twice")).count();
        assert_eq!((accepted, late), (1, 3), "{verdicts:?}");
    }

    async fn a_whole_session_in_one_request_is_taken_by_its_timestamps(db: TestDatabase) {
        let api = Api::start(db).await;
        strict(&api).await;
        let unit = Unit::launched(&api, 1, json!({})).await;
        let all = |order: [(u128, &str); 4]| json!(order.map(|(n, verb)| unit.statement(n, verb)));
        let mixed_up = unit.send(&all([(4, "initialized"), (1, "~experienced"), (5, "completed"), (6, "terminated")])).await;
        assert_eq!(verdict(&mixed_up), refused("cmi5.initialized.first"));
        let whole = [(14, "terminated"), (11, "initialized"), (13, "completed"), (12, "~experienced")];
        unit.send(&all(whole)).await.expect(200);
    }

    async fn what_is_voided_may_be_said_again(db: TestDatabase) {
        let api = Api::start(db).await;
        strict(&api).await;
        let unit = Unit::launched(&api, 1, json!({})).await;
        assert_eq!(unit.says(1, "initialized").await, fine());
        assert_eq!(unit.says(2, "passed").await, fine());
        assert_eq!(unit.says(3, "passed").await, refused("cmi5.verb.twice"));
        api.app.post_statements(&voiding(&id(90), &id(2))).await.expect(200);
        assert_eq!(unit.says(3, "passed").await, fine());
        assert_eq!(unit.says(4, "passed").await, refused("cmi5.verb.twice"));
    }

    async fn an_abandoned_session_is_over_and_the_lms_is_not_held_to_its_order(db: TestDatabase) {
        let api = Api::start(db).await;
        strict(&api).await;
        let unit = Unit::launched(&api, 1, json!({})).await;
        let lms = async |n: u128, verb: &str| {
            let mut statement = unit.statement(n, "launched");
            statement["verb"]["id"] = json!(match verb {
                "launched" => "http://adlnet.gov/expapi/verbs/launched".to_owned(),
                verb => format!("https://w3id.org/xapi/adl/verbs/{verb}"),
            });
            if verb == "abandoned" {
                statement["result"] = json!({"duration": "PT3M"});
            }
            verdict(&api.app.post_statements(&statement).await)
        };
        assert_eq!(lms(1, "launched").await, fine());
        assert_eq!(lms(2, "launched").await, refused("cmi5.verb.twice"));
        assert_eq!(unit.says(3, "initialized").await, fine());
        assert_eq!(lms(4, "abandoned").await, fine());
        assert_eq!(unit.says(5, "terminated").await, refused("cmi5.abandoned.last"));
        assert_eq!(lms(6, "satisfied").await, fine());
        let mut satisfied = unit.statement(7, "initialized");
        satisfied["verb"]["id"] = json!("https://w3id.org/xapi/adl/verbs/satisfied");
        let (status, rules) = verdict(&unit.send(&satisfied).await);
        assert_eq!((status, rules.contains(&"cmi5.verb.lms".to_owned())), (403, true), "{rules:?}");
    }

    async fn preferences_of_the_learner_are_whole(db: TestDatabase) {
        let api = Api::start(db).await;
        let unit = Unit::launched(&api, 1, json!({})).await;
        let place = [("agent", ada().to_string()), ("profileId", "cmi5LearnerPreferences".to_owned())];
        let put = async |document: Value| {
            let request = unit.request(Method::PUT, "/agents/profile").query(&place).header("If-Match", "*");
            let first = unit.request(Method::PUT, "/agents/profile").query(&place).header("If-None-Match", "*");
            let answer = send(first.json(&document)).await;
            verdict(&if answer.status.as_u16() == 412 { send(request.json(&document)).await } else { answer })
        };
        assert_eq!(put(json!({"audioPreference": "loud"})).await.0, 204, "as xAPI has it");
        strict(&api).await;
        assert_eq!(put(json!({"audioPreference": "on"})).await, refused("cmi5.preferences"));
        assert_eq!(put(json!({"languagePreference": "en-US,fr-FR", "audioPreference": "on"})).await.0, 204);
    }

    async fn a_tenant_that_does_not_ask_for_it_has_them_counted(db: TestDatabase) {
        let api = Api::start(db).await;
        let settings = api.get(SETTINGS).await.expect(200).json();
        assert_eq!(settings, json!({"cmi5Strict": false, "cmi5Satisfied": false}));
        let unit = Unit::launched(&api, 1, json!({})).await;
        for (n, verb) in [(1, "passed"), (2, "initialized"), (3, "passed"), (4, "terminated"), (5, "~experienced")] {
            assert_eq!(unit.says(n, verb).await, fine(), "{verb}");
        }
        for rule in ["cmi5.initialized.first", "cmi5.verb.twice", "cmi5.terminated.last"] {
            assert!(counted(&api, rule, "counted").await && !counted(&api, rule, "refused").await, "{rule}");
        }
        // What was said before it was asked for counts from then on.
        strict(&api).await;
        assert_eq!(unit.says(6, "~experienced").await, refused("cmi5.terminated.last"));
        set(&api, json!({})).await;
        assert_eq!(unit.says(6, "~experienced").await, fine());
    }

    async fn only_administrators_decide_and_only_operators_for_others(db: TestDatabase) {
        let api = Api::start(db).await;
        let other = api.post("/api/v1/admin/tenants", &json!({"name": "acme"})).await.expect(201).json();
        let path = format!("/api/v1/admin/tenants/{}/settings", other["id"].as_str().unwrap());
        let made = async |scope: &str| {
            let place = format!("/api/v1/admin/credentials?tenantId={}", other["id"].as_str().unwrap());
            let made = api.app.post(&place, &json!({"scopes": [scope]})).await.expect(201).json();
            (made["apiKey"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned())
        };
        let (admin, writer) = (made("admin:*").await, made("all").await);
        for ((key, secret), path, status) in [
            (&admin, path.as_str(), 200),
            (&writer, &path, 403),
            (&admin, SETTINGS, 403),
        ] {
            let request = api.app.anonymous(Method::PUT, path).basic_auth(key, Some(secret)).json(&json!({"cmi5Strict": true}));
            api.checked(Method::PUT, path, request).await.expect(status);
        }
        assert_eq!(api.get(&path).await.expect(200).json()["cmi5Strict"], true);
        assert_eq!(api.get(SETTINGS).await.expect(200).json()["cmi5Strict"], false, "each tenant for itself");
        api.get("/api/v1/admin/tenants/00000000-0000-4000-8000-00000000dead/settings").await.expect(404);
    }
}
