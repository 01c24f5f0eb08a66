//! The ways back: each of them is tried, and nothing comes.

use progress_service::{
    erasure::log::Replayed,
    model::TenantId,
    objects::{
        Objects,
        segment::{Manifest, Place, Row, Segment},
    },
    store::{
        Store,
        ledger::fills::{Fill, Parents},
    },
    transfer::{Load, LoadError, Reader},
};
use serde_json::json;

use super::{ANN, by_mbox, erase, erasures, found, get_state, march, places, put_state};
use crate::{
    archived::{history::settle, objects},
    support::{app::TestApp, background, months},
    xapi::{id, identified, ids},
};

on_each_server! {
    async fn what_is_sent_again_or_by_the_same_person_is_erased_as_it_arrives(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&json!([identified(&id(1), "ann", "a")])).await.expect(200);
        erase(&app, &by_mbox(ANN)).await;
        // A late duplicate, and a new statement, alone and among those of others.
        app.put_statement(&id(1), &identified(&id(1), "ann", "a")).await.expect(204);
        app.post_statements(&json!([identified(&id(2), "ann", "a"), identified(&id(3), "bob", "a")])).await.expect(200);
        let content = b"a secret of ann-canary";
        let mut with_file = crate::xapi::attachments::with_attachment(4, content);
        with_file["actor"] = json!({"mbox": ANN});
        let body = crate::xapi::attachments::multipart(&with_file, &[content]);
        let request = app.xapi(reqwest::Method::POST, "/statements").header("Content-Type", "multipart/mixed; boundary=limit");
        crate::support::app::send(request.body(body)).await.expect(200);
        assert_eq!(put_state(&app, ANN, "ann-canary").await, 204, "taken, and not kept");
        assert_eq!(get_state(&app, ANN).await, 404);
        assert_eq!(found(&app, &[]).await, [id(3)]);
        for needle in ["ann@example.com", "ann-canary"] {
            assert_eq!(places(&app.db, needle).await, Vec::<String>::new(), "{needle}");
        }
    }

    async fn a_new_consent_counts_where_the_tenant_accepts_it(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&json!([identified(&id(1), "ann", "a")])).await.expect(200);
        erase(&app, &json!({"subject": {"agents": [{"mbox": ANN}]}, "arrivals": "accept"})).await;
        app.put_statement(&id(1), &identified(&id(1), "ann", "a")).await.expect(204);
        app.put_statement(&id(2), &identified(&id(2), "ann", "a")).await.expect(204);
        assert_eq!(found(&app, &[]).await, [id(2)], "what was erased stays so, what is new counts");
        assert_eq!(put_state(&app, ANN, "again").await, 204);
        assert_eq!(get_state(&app, ANN).await, 200);
    }

    async fn an_import_is_refused(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&json!([identified(&id(1), "ann", "a")])).await.expect(200);
        settle(&app).await;
        erase(&app, &by_mbox(ANN)).await;
        let store = app.db.store();
        for (n, actor) in [(1, "ann"), (2, "ann")] {
            let mut it = identified(&id(n), actor, "a");
            it["stored"] = json!("2026-03-01T10:00:00.000000Z");
            it["timestamp"] = json!("2026-03-01T10:00:00Z");
            it["authority"] = json!({"mbox": "mailto:lrs@example.com"});
            let store = store.clone();
            let loading = async move {
                let arrival = Reader::of(TenantId::DEFAULT).read(it.to_string().as_bytes()).unwrap();
                Load::begin(store, 2).take(TenantId::DEFAULT, &[arrival]).await
            };
            let error = background::runtime().spawn(loading).await.unwrap().unwrap_err();
            assert!(matches!(error, LoadError::Erased(_)), "{error}");
        }
    }

    async fn copies_from_before_never_count(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let some: Vec<_> = (1..30).map(|n| identified(&id(n), if n % 3 == 0 { "ann" } else { "bob" }, "a")).collect();
        app.post_statements(&json!(some)).await.expect(200);
        months::spread(&app.db, march()).await;
        settle(&app).await;
        let objects = objects(&app);
        months::away(&app.db, &objects, march()).await;
        // A restore is begun and copies what is not hers; then she is erased; then it would be finished.
        let store = app.db.store();
        let begun = {
            let (store, objects) = (store.clone(), objects.clone());
            let copying = async move { super::copy(store, super::rows(&objects).await).await };
            background::runtime().spawn(copying).await.unwrap()
        };
        let client = app.db.superuser().await;
        client.batch_execute("DELETE FROM ledger.filling_statements_2026_03 s USING ledger.statement_ids i
            WHERE i.stored = s.stored AND s.payload ~ 'ann@'; DELETE FROM ledger.filling_relations_2026_03").await.unwrap();
        erase(&app, &by_mbox(ANN)).await;
        let finishing = async move { store.finish_month(&begun).await };
        let error = background::runtime().spawn(finishing).await.unwrap().unwrap_err();
        assert_eq!(error.code(), Some("PRE01"), "{error}");
        let there = "SELECT count(*) FROM ledger.detached_statements";
        assert_eq!(client.query_one(there, &[]).await.unwrap().get::<_, i64>(0), 0);
        // Begun anew it comes back, without her.
        client.batch_execute("DROP TABLE ledger.filling_statements_2026_03, ledger.filling_relations_2026_03; DELETE FROM ledger.month_fills").await.unwrap();
        months::restore(&app.db, &objects, march(), 1).await;
        assert_eq!(client.query_one(there, &[]).await.unwrap().get::<_, i64>(0), 20);
        assert_eq!(places(&app.db, "ann@example.com").await, Vec::<String>::new());
    }

    async fn an_erasure_does_not_end_beside_a_copy_that_takes_its_place(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let some: Vec<_> = (1..30).map(|n| identified(&id(n), if n % 3 == 0 { "ann" } else { "bob" }, "a")).collect();
        app.post_statements(&json!(some)).await.expect(200);
        months::spread(&app.db, march()).await;
        settle(&app).await;
        let objects = objects(&app);
        months::away(&app.db, &objects, march()).await;
        let store = app.db.store();
        let copying = async move { super::copy(store, super::rows(&objects).await).await };
        background::runtime().spawn(copying).await.unwrap();
        // The erasure has begun, and goes no further than to its first hiding.
        let holder = app.db.superuser().await;
        holder.batch_execute("BEGIN; LOCK TABLE ledger.hidden IN EXCLUSIVE MODE").await.unwrap();
        let asked = app.post("/api/v1/erasures", &by_mbox(ANN)).await.expect(202).json();
        // The month is there again for everybody as soon as this commits.
        let finishing = app.db.superuser().await;
        finishing.batch_execute("BEGIN; SELECT ledger.finish_month(month::timestamptz, number) FROM ledger.month_fills").await.unwrap();
        holder.batch_execute("ROLLBACK").await.unwrap();
        let eye = app.db.superuser().await;
        let waits = "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
                WHERE NOT l.granted AND l.relation IS DISTINCT FROM 'ledger.hidden'::regclass)
            OR EXISTS (SELECT FROM ledger.erasures WHERE state = 'erased') AS waits";
        crate::support::patience::until("the end of the erasure", async || {
            if eye.query_one(waits, &[]).await.unwrap().get(0) { Ok(()) } else { Err("it is on its way") }
        })
        .await;
        finishing.batch_execute("COMMIT").await.unwrap();
        let path = format!("/api/v1/erasures/{}", asked["id"].as_str().unwrap());
        crate::support::patience::until("the erasure", async || {
            let now = app.get(&path).await.expect(200).json();
            if now["state"] == "erased" { Ok(()) } else { Err(now.to_string()) }
        })
        .await;
        let there = "SELECT count(*) FROM ledger.detached_statements";
        assert_eq!(eye.query_one(there, &[]).await.unwrap().get::<_, i64>(0), 20, "the others' are there again, and hers are not");
        assert_eq!(places(&app.db, "ann@example.com").await, Vec::<String>::new());
    }

    async fn a_copy_of_what_was_read_before_is_thrown_away_before_the_end(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let some: Vec<_> = (1..30).map(|n| identified(&id(n), if n % 3 == 0 { "ann" } else { "bob" }, "a")).collect();
        app.post_statements(&json!(some)).await.expect(200);
        months::spread(&app.db, march()).await;
        settle(&app).await;
        let objects = objects(&app);
        months::away(&app.db, &objects, march()).await;
        let reading = async move { super::rows(&objects).await };
        let read = background::runtime().spawn(reading).await.unwrap();
        // The erasure has looked through copies, and waits for documents: nothing of her is in the segments any more.
        let (hiding, documents, eye) = (app.db.superuser().await, app.db.superuser().await, app.db.superuser().await);
        hiding.batch_execute("BEGIN; LOCK TABLE ledger.hidden IN EXCLUSIVE MODE").await.unwrap();
        let asked = app.post("/api/v1/erasures", &by_mbox(ANN)).await.expect(202).json();
        let waits = async |table: &str| {
            let sql = format!("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))");
            crate::support::patience::until(table, async || {
                if eye.query_one(&sql, &[]).await.unwrap().get(0) { Ok(()) } else { Err("nobody waits for it") }
            })
            .await;
        };
        waits("ledger.hidden").await;
        documents.batch_execute("BEGIN; LOCK TABLE ledger.documents IN ACCESS EXCLUSIVE MODE").await.unwrap();
        hiding.batch_execute("ROLLBACK").await.unwrap();
        waits("ledger.documents").await;
        let store = app.db.store();
        background::runtime().spawn(async move { super::copy(store, read).await }).await.unwrap();
        let copied = "SELECT count(*) FROM ledger.filling_statements_2026_03 WHERE payload::text ~ 'ann@'";
        assert_eq!(eye.query_one(copied, &[]).await.unwrap().get::<_, i64>(0), 9, "she is in the copy");
        documents.batch_execute("ROLLBACK").await.unwrap();
        let path = format!("/api/v1/erasures/{}", asked["id"].as_str().unwrap());
        crate::support::patience::until("the erasure", async || {
            let now = app.get(&path).await.expect(200).json();
            if now["state"] == "erased" { Ok(()) } else { Err(now.to_string()) }
        })
        .await;
        assert_eq!(places(&app.db, "ann@example.com").await, Vec::<String>::new());
        assert!(app.db.store().months_begun().await.unwrap().is_empty(), "it is begun anew");
    }

    async fn a_backup_from_before_forgets_again_by_the_log(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let some: Vec<_> = (1..10).map(|n| identified(&id(n), if n % 3 == 0 { "ann" } else { "bob" }, "a")).collect();
        app.post_statements(&json!(some)).await.expect(200);
        let backup = app.db.copy().await;
        assert_eq!(erase(&app, &by_mbox(ANN)).await["state"], "erased");
        let log = erasures(&app).whole_log().await.unwrap();
        assert_eq!(log.len(), 1);
        assert!(!serde_json::to_string(&log).unwrap().contains("ann@"), "it names nobody");

        // One from before there was a key recognises nobody, and says so.
        let stranger = backup.copy().await;
        stranger.superuser().await.batch_execute("DELETE FROM platform.signing_keys WHERE purpose = 'erasure'").await.unwrap();
        let stranger = TestApp::start(stranger).await;
        let (entry, rooms) = (log[0].clone(), erasures(&stranger));
        let replaying = background::runtime().spawn(async move { rooms.replay(&entry, "a test").await });
        let error = replaying.await.unwrap().unwrap_err();
        assert!(error.to_string().contains("ask for the erasure again"), "{error}");

        let restored = TestApp::start(backup).await;
        assert!(!places(&restored.db, "ann@example.com").await.is_empty(), "she is there again");
        let again = erasures(&restored);
        let (entry, rooms) = (log[0].clone(), again.clone());
        let replaying = background::runtime().spawn(async move { rooms.replay(&entry, "a test").await });
        assert_eq!(replaying.await.unwrap().unwrap(), Replayed::Again);
        crate::support::patience::until("the erasure", async || {
            let now = restored.get(&format!("/api/v1/erasures/{}", log[0].id)).await.json();
            if now["state"] == "erased" { Ok(()) } else { Err(now.to_string()) }
        })
        .await;
        assert_eq!(places(&restored.db, "ann@example.com").await, Vec::<String>::new());
        let left = ids(&restored.get_statements(&[]).await.expect(200).json());
        assert_eq!(left.len(), 6, "{left:?}");
        restored.post_statements(&identified(&id(50), "ann", "a")).await.expect(200);
        restored.get_statements(&[("statementId", &id(50))]).await.expect(404);
        let entry = log[0].clone();
        let replaying = background::runtime().spawn(async move { again.replay(&entry, "a test").await });
        assert_eq!(replaying.await.unwrap().unwrap(), Replayed::Known, "done again it changes nothing");
    }
}

/// What March's segment has.
async fn rows(objects: &Objects) -> Vec<Row> {
    let place = Place { tenant: TenantId::DEFAULT, month: march(), revision: 0 };
    let manifest = Manifest::read(objects, &place).await.unwrap();
    crate::support::segments::scan(&Segment::open(objects, manifest, None).unwrap()).await.unwrap()
}

/// Copies rows for March, as a restore does, and does not finish.
async fn copy(store: Store, rows: Vec<Row>) -> Fill {
    let fill = store.begin_month(march(), Parents::Detached).await.unwrap();
    let full: Vec<_> = rows.iter().map(months::full).collect();
    store.copy_into_month(&fill, &full).await.unwrap();
    store.index_month(&fill).await.unwrap();
    fill
}
