//! `/api/v1/admin/partitions` and `/api/v1/admin/archive`: every act is shown first, done as it was shown, and by operators alone.

use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Method;
use serde_json::{Value, json};

use super::{Api, access::key};
use crate::{
    lifecycle::{MARCH, fill},
    support::{app::send, past, patience},
    xapi::statement,
};

const PARTITIONS: &str = "/api/v1/admin/partitions";
const ARCHIVE: &str = "/api/v1/admin/archive";

/// What an act would do, as it is shown without a digest.
async fn shown(api: &Api, path: &str, body: &Value) -> Value {
    let shown = api.post(path, body).await.expect(200).json();
    assert_eq!(shown["jobId"], Value::Null, "{shown}");
    shown
}

/// Does what is shown, and waits for its job; answers with the job.
async fn done(api: &Api, path: &str, body: &Value) -> Value {
    let digest = shown(api, path, body).await["digest"].clone();
    let mut with = body.clone();
    with["plan"] = digest;
    let begun = api.post(path, &with).await.expect(202);
    let place = begun.header("location").to_owned();
    assert!(place.ends_with(begun.json()["jobId"].as_str().unwrap()), "{place}");
    let mut job = Value::Null;
    patience::until(path, async || {
        job = api.get(&place).await.expect(200).json();
        if job["finishedAt"].is_null() { Err(job.to_string()) } else { Ok(()) }
    })
    .await;
    assert_eq!(job["planDigest"], with["plan"], "it is known what was seen");
    job
}

async fn state(api: &Api) -> Value {
    let all = api.get(PARTITIONS).await.expect(200).json();
    let found = all["partitions"].as_array().unwrap().iter().find(|one| one["name"] == MARCH).cloned();
    found.expect("March")
}

async fn succeeded(api: &Api, path: &str, body: &Value, becomes: &str) {
    let job = done(api, path, body).await;
    assert_eq!(job["state"], "succeeded", "{path}: {job}");
    assert_eq!(state(api).await["state"], becomes, "{path}");
}

on_each_server! {
    async fn a_month_goes_all_the_way_and_comes_back_over_http(db: TestDatabase) {
        let api = Api::start(db).await;
        fill(&api.app, MARCH, 1, 40).await;
        let before = past::contents(&api.app.db, MARCH.parse().unwrap()).await;
        let march = json!({ "month": MARCH });
        let seal = format!("{PARTITIONS}/seal");
        let plan = shown(&api, &seal, &march).await;
        assert_eq!((&plan["plan"]["state"], &plan["plan"]["becomes"]), (&json!("open"), &json!("sealed")));
        assert_eq!(state(&api).await["state"], "open", "a plan changes nothing");
        succeeded(&api, &seal, &march, "sealed").await;
        assert_eq!(shown(&api, &seal, &march).await["already"], true);
        let again = api.post(&seal, &json!({ "month": MARCH, "plan": shown(&api, &seal, &march).await["digest"] })).await;
        assert_eq!(again.expect(200).json()["jobId"], Value::Null, "nothing is to be done");

        succeeded(&api, &format!("{PARTITIONS}/detach"), &march, "detached").await;
        succeeded(&api, &format!("{PARTITIONS}/attach"), &march, "sealed").await;
        let weekly = json!({ "to": "weekly", "months": [MARCH] });
        succeeded(&api, &format!("{PARTITIONS}/rescheme"), &weekly, "sealed").await;
        let divided = state(&api).await;
        assert_eq!((&divided["scheme"], &divided["parts"][1]), (&json!("weekly"), &json!("2026-W10")), "{divided}");
        assert_eq!(past::contents(&api.app.db, MARCH.parse().unwrap()).await, before);

        succeeded(&api, &format!("{ARCHIVE}/run"), &march, "archived").await;
        let segments = api.get(&format!("{ARCHIVE}/segments?month={MARCH}")).await.expect(200).json();
        assert_eq!((&segments["segments"][0]["rows"], &segments["segments"][0]["state"]), (&json!(40), &json!("published")));
        assert_eq!(api.get(&format!("{ARCHIVE}/segments?state=removed")).await.expect(200).json()["segments"], json!([]));
        succeeded(&api, &format!("{ARCHIVE}/drop"), &march, "dropped").await;
        succeeded(&api, &format!("{ARCHIVE}/verify"), &json!({}), "dropped").await;
        succeeded(&api, &format!("{ARCHIVE}/restore"), &march, "archived").await;
        assert_eq!(past::contents(&api.app.db, MARCH.parse().unwrap()).await, before, "byte for byte");

        let nothing = shown(&api, &format!("{ARCHIVE}/gc"), &json!({})).await;
        assert_eq!((&nothing["already"], &nothing["plan"]), (&json!(true), &json!([])));
        assert_eq!(shown(&api, &format!("{ARCHIVE}/adopt"), &json!({})).await["already"], true);
        let coming = api.get(&format!("{PARTITIONS}/plan")).await.expect(200).json();
        assert_eq!((&coming["scheduled"], &coming["coming"]), (&json!(false), &json!([])));
        let entries = api.get("/api/v1/audit/entries?filter[action]=archive.run").await.expect(200).json();
        assert!(!entries["data"].as_array().unwrap().is_empty(), "asking for it is in the trail: {entries}");
    }

    async fn work_on_a_month_stands_aside_for_those_who_write(db: TestDatabase) {
        let api = Api::start(db).await;
        fill(&api.app, MARCH, 1, 40).await;
        let march = json!({ "month": MARCH });
        succeeded(&api, &format!("{PARTITIONS}/seal"), &march, "sealed").await;
        let aside = async || {
            let text = api.app.get("/metrics").await.expect(200).text();
            let line = text.lines().find_map(|line| line.strip_prefix("progress_job_aside_seconds_total "));
            line.expect("the counter").trim().parse::<f64>().unwrap()
        };
        let is_over = AtomicBool::new(false);
        let write = async || {
            while !is_over.load(Ordering::Relaxed) {
                api.app.post_statements(&statement("ann", "a")).await.expect(200);
            }
        };
        let divide = async {
            let mut to = ["weekly", "monthly"].into_iter().cycle();
            // Whether it is quick or slow: sooner or later they are seen to write.
            patience::until("a rest", async || {
                let wish = json!({ "to": to.next(), "months": [MARCH] });
                succeeded(&api, &format!("{PARTITIONS}/rescheme"), &wish, "sealed").await;
                if aside().await > 0.0 { Ok(()) } else { Err("it did not rest".to_owned()) }
            })
            .await;
            succeeded(&api, &format!("{ARCHIVE}/run"), &march, "archived").await;
            patience::until("a rest of who reads segments", async || {
                let before = aside().await;
                succeeded(&api, &format!("{ARCHIVE}/verify"), &json!({}), "archived").await;
                if aside().await > before { Ok(()) } else { Err("it did not rest".to_owned()) }
            })
            .await;
            for (act, becomes) in [("drop", "dropped"), ("restore", "archived")] {
                let before = aside().await;
                succeeded(&api, &format!("{ARCHIVE}/{act}"), &march, becomes).await;
                assert!(aside().await > before, "{act} did not rest");
            }
            is_over.store(true, Ordering::Relaxed);
        };
        tokio::join!(divide, write(), write());
    }

    async fn what_cannot_be_done_is_refused_with_the_reason(db: TestDatabase) {
        let api = Api::start(db).await;
        fill(&api.app, MARCH, 1, 5).await;
        let detail = async |path: &str, body: Value, status: u16| {
            api.post(path, &body).await.expect(status).json()["detail"].as_str().unwrap().to_owned()
        };
        let (march, other) = (json!({ "month": MARCH }), "0".repeat(64));
        let seen = detail(&format!("{PARTITIONS}/seal"), json!({ "month": MARCH, "plan": other }), 409).await;
        assert!(seen.contains("look at it again"), "{seen}");
        assert_eq!(state(&api).await["state"], "open");
        let wrong = detail(&format!("{PARTITIONS}/detach"), march.clone(), 409).await;
        assert!(wrong.contains("is open, and only one that is sealed"), "{wrong}");
        let wrong = detail(&format!("{ARCHIVE}/run"), march.clone(), 409).await;
        assert!(wrong.contains("is open, and this is for one that is sealed or detached"), "{wrong}");
        let wrong = detail(&format!("{PARTITIONS}/rescheme"), json!({ "to": "weekly", "months": [MARCH] }), 409).await;
        assert!(wrong.contains("is open: one is divided anew that is sealed"), "{wrong}");
        for (path, body, status) in [
            ("partitions/seal", json!({ "month": "2020-01" }), 404),
            ("partitions/seal", json!({ "month": "2026-13" }), 400),
            ("partitions/seal", json!({}), 400),
            ("partitions/rescheme", json!({ "to": "hourly" }), 400),
            ("partitions/rescheme", json!({ "to": "daily", "months": ["2020-01"] }), 404),
            ("archive/drop", json!({ "month": "2020-01" }), 404),
            ("archive/drop", json!({}), 400),
            ("archive/gc", json!({ "month": MARCH }), 400),
        ] {
            api.post(&format!("/api/v1/admin/{path}"), &body).await.expect(status);
        }
        api.get(&format!("{ARCHIVE}/segments?month=yesterday")).await.expect(400);
        api.get(&format!("{ARCHIVE}/segments?state=lost")).await.expect(400);
    }

    async fn months_are_for_operators(db: TestDatabase) {
        let api = Api::start(db).await;
        let tenant = api.post("/api/v1/admin/tenants", &json!({ "name": "acme" })).await.expect(201).json();
        let of_tenant = format!("?tenantId={}", tenant["id"].as_str().unwrap());
        for authorization in [key(&api, &["admin:*"], &of_tenant).await, key(&api, &["all"], "").await] {
            api.get_as(&authorization, PARTITIONS).await.expect(403);
            for path in ["seal", "detach", "attach"] {
                let path = format!("{PARTITIONS}/{path}");
                let request = api.app.anonymous(Method::POST, &path).header("Authorization", &authorization);
                send(request.json(&json!({ "month": MARCH }))).await.expect(403);
            }
            for path in ["run", "drop", "restore", "verify", "gc", "adopt"] {
                let path = format!("{ARCHIVE}/{path}");
                let request = api.app.anonymous(Method::POST, &path).header("Authorization", &authorization);
                let month = if ["run", "drop", "restore"].iter().any(|act| path.ends_with(act)) { json!({ "month": MARCH }) } else { json!({}) };
                send(request.json(&month)).await.expect(403);
            }
        }
    }

    async fn months_that_are_missing_are_made_over_http(db: TestDatabase) {
        let api = Api::start(db).await;
        api.app.stop_loops().await;
        let ensure = format!("{PARTITIONS}/ensure");
        assert_eq!(shown(&api, &ensure, &json!({})).await["already"], true);
        let owner = api.app.db.superuser().await;
        let last = "SELECT relname::text FROM pg_class WHERE relname ~ '^statements_[0-9]{4}_[0-9]{2}$' ORDER BY 1 DESC LIMIT 1";
        let last: String = owner.query_one(last, &[]).await.unwrap().get(0);
        let name = last.trim_start_matches("statements_").to_owned();
        owner.batch_execute(&format!("DROP TABLE ledger.{last}, ledger.relations_{name};
            DELETE FROM ledger.partitions WHERE to_char(month, 'YYYY_MM') = '{name}'")).await.unwrap();
        let plan = shown(&api, &ensure, &json!({})).await;
        assert_eq!(plan["plan"]["missing"], json!([name.replace('_', "-")]));
        let made = api.post(&ensure, &json!({ "plan": plan["digest"] })).await.expect(200).json();
        assert_eq!(made["already"], true);
        assert_eq!(shown(&api, &ensure, &json!({})).await["plan"]["missing"], json!([]));
    }
}
