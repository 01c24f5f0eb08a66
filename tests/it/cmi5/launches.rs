//! The LMS's side of a launch: the one-time fetch URL, and what the launch's credential is bound to.

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    AU, CMI5,
    unit::{SESSION, Unit, ada, fetch, verdict},
};
use crate::{
    api::Api,
    support::app::{Answer, send},
    xapi::{id, voiding},
};

async fn launched(api: &Api, more: Value) -> Value {
    let mut launch = json!({"registration": id(1), "actor": ada()});
    launch.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    api.post("/api/v1/admin/credentials/launch", &launch).await.expect(201).json()
}

fn rules(answer: &Answer) -> Vec<String> {
    let (status, rules) = verdict(answer);
    assert_eq!(status, 403, "{}", answer.text());
    rules
}

on_each_server! {
    async fn a_unit_of_another_origin_fetches_its_token_once(db: TestDatabase) {
        let api = Api::start(db).await;
        let launch = launched(&api, json!({"fetch": true, "activityId": AU, "moveOn": "Passed", "masteryScore": 0.8})).await;
        assert_eq!(launch.get("secret"), None, "whoever has the address needs no secret, and nobody else has one");
        assert!(launch["sessionId"].is_string() && launch["fetchExpiresAt"].is_string(), "{launch}");
        assert_eq!((&launch["moveOn"], launch["masteryScore"].to_string()), (&json!("Passed"), "0.8000".to_owned()));

        let path = launch["fetchUrl"].as_str().unwrap().strip_prefix(&api.app.url).unwrap();
        let get = send(api.app.anonymous(Method::GET, path)).await.expect(405);
        assert_eq!(get.header("allow"), "POST", "what is fetched is never answered out of a cache");
        let first = fetch(&api, &launch).await.expect(200);
        assert_eq!((first.header("content-type"), first.header("access-control-allow-origin")), ("application/json", "*"));
        assert!(first.header("cache-control").contains("no-store"));
        let token = first.json()["auth-token"].as_str().unwrap().to_owned();
        assert_eq!(first.json().as_object().unwrap().len(), 1);
        let pair = String::from_utf8(STANDARD.decode(&token).unwrap()).unwrap();
        assert_eq!(pair.split_once(':').unwrap().0, launch["apiKey"].as_str().unwrap());

        let again = fetch(&api, &launch).await.expect(200);
        assert_eq!(again.header("content-type"), "application/json");
        assert_eq!((again.json()["error-code"].as_str(), again.json().get("auth-token")), (Some("1"), None));
        let wrong = send(api.app.anonymous(Method::POST, &format!("{path}0"))).await.expect(200);
        assert_eq!((wrong.json()["error-code"].as_str(), wrong.json()["error-text"].is_string()), (Some("2"), true));

        let unit = Unit { api: &api, launch, token };
        assert_eq!(unit.says(1, "initialized").await, (200, vec![]));
    }

    async fn of_many_who_fetch_at_once_one_has_the_token(db: TestDatabase) {
        let api = Api::start(db).await;
        let launch = launched(&api, json!({"fetch": true})).await;
        let answers = join_all((0..6).map(|_| fetch(&api, &launch))).await;
        let answers: Vec<Value> = answers.into_iter().map(|answer| answer.expect(200).json()).collect();
        let with_token = answers.iter().filter(|answer| answer.get("auth-token").is_some()).count();
        let spent = answers.iter().filter(|answer| answer["error-code"] == "1").count();
        assert_eq!((with_token, spent), (1, 5), "{answers:?}");
    }

    async fn what_a_launch_is_bound_to_holds_for_all_that_it_writes(db: TestDatabase) {
        let api = Api::start(db).await;
        let unit = Unit::launched(&api, 1, json!({})).await;
        assert_eq!(unit.says(1, "initialized").await, (200, vec![]));
        for (pointer, value, rule) in [
            ("/context/registration", json!(id(2)), "cmi5.registration"),
            ("/context/extensions", json!({SESSION: "another"}), "cmi5.session"),
            ("/actor/account/name", json!("eve"), "cmi5.learner"),
            ("/object/id", json!("http://lms.example/activities/au-2"), "cmi5.activity"),
        ] {
            let mut statement = unit.statement(2, "passed");
            *statement.pointer_mut(pointer).unwrap() = value;
            let answer = unit.send(&json!([unit.statement(3, "~experienced"), statement])).await;
            assert_eq!(rules(&answer), [rule]);
            assert_eq!(answer.json()["violations"][0]["statement"], 1, "{}", answer.text());
            assert_ne!(answer.json()["violations"][0]["pointer"], "");
        }
        let mut voids = voiding(&id(91), &id(1));
        voids["actor"] = ada();
        voids["context"] = unit.statement(4, "~voided")["context"].clone();
        assert_eq!(rules(&unit.send(&voids).await), ["cmi5.voiding"]);

        let put = async |resource: &str, place: &[(&str, &str)]| -> Answer {
            send(unit.request(Method::PUT, resource).query(place).header("If-None-Match", "*").json(&json!({"a": 1}))).await
        };
        let (learner, eve) = (ada().to_string(), ada().to_string().replace("ada", "eve"));
        let (own, other) = (id(1), id(2));
        let state = |activity, agent, registration, name| {
            [("activityId", activity), ("agent", agent), ("registration", registration), ("stateId", name)]
        };
        for (place, rule) in [
            (state(AU, &learner, &own, "bookmark"), None),
            (state(AU, &learner, &own, "LMS.LaunchData"), Some("cmi5.launch-data")),
            (state("http://lms.example/activities/au-2", &learner, &own, "bookmark"), Some("cmi5.activity")),
            (state(AU, &learner, &other, "bookmark"), Some("cmi5.registration")),
            (state(AU, &eve, &own, "bookmark"), Some("cmi5.learner")),
        ] {
            let answer = put("/activities/state", &place).await;
            match rule {
                None => drop(answer.expect(204)),
                Some(rule) => assert_eq!(rules(&answer), [rule], "{place:?}"),
            }
        }
        let all = send(unit.request(Method::DELETE, "/activities/state").query(&state(AU, &learner, &own, "x")[..3])).await;
        assert_eq!(rules(&all), ["cmi5.launch-data"], "it would go with the others");
        let preferences = |agent| [("agent", agent), ("profileId", "cmi5LearnerPreferences")];
        assert_eq!(rules(&put("/agents/profile", &preferences(&eve)).await), ["cmi5.learner"]);
        put("/agents/profile", &preferences(&learner)).await.expect(204);
        let profile = [("activityId", "http://lms.example/activities/au-2"), ("profileId", "p")];
        assert_eq!(rules(&put("/activities/profile", &profile).await), ["cmi5.activity"]);
    }

    async fn an_address_in_capitals_is_the_same_learner_on_every_resource(db: TestDatabase) {
        let api = Api::start(db).await;
        let user = "00000000-0000-4000-8000-0000000000aa";
        let account = |name: &str| json!({"account": {"homePage": "http://lms.example", "name": name}});
        for (bound, said, same) in [
            (json!({"mbox": "mailto:ada@lms.example"}), json!({"mbox": "mailto:ada@LMS.EXAMPLE"}), true),
            (account(user), account(&user.to_uppercase()), true),
            (account("ada"), account("eve"), false),
        ] {
            let launch = json!({"registration": id(1), "actor": bound, "fetch": true});
            let launch = api.post("/api/v1/admin/credentials/launch", &launch).await.expect(201).json();
            let token = fetch(&api, &launch).await.json()["auth-token"].as_str().unwrap().to_owned();
            let unit = Unit { api: &api, launch, token };
            let statement = json!({"actor": said, "verb": {"id": "http://x.example/did"}, "object": {"id": AU},
                "context": {"registration": id(1)}});
            let agent = said.to_string();
            let state = [("activityId", AU), ("agent", &agent), ("registration", &id(1)), ("stateId", "s")];
            let profile = [("agent", &*agent), ("profileId", "p")];
            let statuses = [
                unit.send(&statement).await,
                send(unit.request(Method::PUT, "/activities/state").query(&state).json(&json!({}))).await,
                send(unit.request(Method::GET, "/activities/state").query(&state)).await,
                send(unit.request(Method::POST, "/agents/profile").query(&profile).json(&json!({}))).await,
                send(unit.request(Method::GET, "/agents/profile").query(&profile)).await,
            ].map(|answer| answer.status.as_u16());
            let expected = if same { [200, 204, 200, 204, 200] } else { [403; 5] };
            assert_eq!(statuses, expected, "{said}");
        }
    }

    async fn a_launch_without_a_unit_is_bound_as_before(db: TestDatabase) {
        let api = Api::start(db).await;
        let launch = launched(&api, json!({})).await;
        assert_eq!((launch.get("fetchUrl"), launch.get("sessionId")), (None, None));
        let pair = format!("{}:{}", launch["apiKey"].as_str().unwrap(), launch["secret"].as_str().unwrap());
        let unit = Unit { api: &api, launch, token: STANDARD.encode(pair) };
        let mut statement = json!({"actor": ada(), "verb": {"id": "http://x.example/did"}, "object": {"id": AU},
            "context": {"registration": id(1), "contextActivities": {"category": [{"id": CMI5}]}}});
        unit.send(&statement).await.expect(200);
        statement["context"]["extensions"] = json!({SESSION: "whichever"});
        unit.send(&statement).await.expect(200);
        let bad = json!({"registration": id(1), "actor": ada(), "masteryScore": 1.01});
        api.post("/api/v1/admin/credentials/launch", &bad).await.expect(400);
    }
}
