//! The replay proof itself, and that it catches what it is there to catch.

use progress_service::{
    migrate::{
        Module,
        fingerprint::Difference,
        lint::lock_taken,
        modules, releases,
        replay::{ReplayError, Road, replay, roads},
    },
    model::{Ids, Secret},
    store::{
        Endpoint,
        schema::reindex::{Why, candidates, rebuild},
    },
};

use crate::support::pg::TestDatabase;

/// A login that may make databases.
fn server(db: &TestDatabase) -> Endpoint {
    Endpoint { url: Secret::new(db.superuser_url()), ca_file: None }
}

fn module(files: &[(&str, &str)]) -> Module {
    let head = "-- Description: for a test\n-- Breaking: no\n-- Manual: no\n";
    let text = |body: &str| format!("{head}-- Lock: {}\n{body}\n", lock_taken(body));
    let texts: Vec<_> = files.iter().map(|(name, body)| (*name, text(body))).collect();
    Module::new("m", texts.iter().map(|(name, text)| (*name, text.as_str())), false).unwrap()
}

fn road(name: &str, stages: &[&[(&str, &str)]]) -> Road {
    Road { name: name.to_owned(), stages: stages.iter().map(|files| vec![module(files)]).collect() }
}

async fn is_there(db: &TestDatabase, name: &str) -> bool {
    let select = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)";
    db.superuser().await.query_one(select, &[&name]).await.unwrap().get(0)
}

on_each_server! {
    async fn every_road_of_the_product_ends_in_the_same_database(db: TestDatabase) {
        let roads = roads(&modules::internal().unwrap(), &releases::supported().unwrap()).unwrap();
        let report = replay(&server(&db), &roads, &Ids::random(), &|_| ()).await.unwrap();
        assert_eq!(report.arrivals.len(), roads.len() - 1);
        assert!(report.objects > 100, "{report:?}");
        assert!(report.same(), "{report:#?}");
        assert!(report.arrivals.iter().all(|arrival| arrival.digest == report.digest));
    }

    async fn a_planted_difference_is_caught(db: TestDatabase) {
        const FIRST: (&str, &str) = ("001_a.sql", "CREATE TABLE m.t (a int, b text);");
        let roads = [
            road("clean", &[&[FIRST, ("002_b.sql", "ALTER TABLE m.t ADD COLUMN c int DEFAULT 1;")]]),
            road("other default", &[&[FIRST], &[FIRST, ("003_b.sql", "ALTER TABLE m.t ADD COLUMN c int DEFAULT 2;")]]),
            road("other order", &[&[("001_a.sql", "CREATE TABLE m.t (c int DEFAULT 1, b text, a int);")]]),
            road("a row more", &[&[FIRST, ("002_b.sql", "ALTER TABLE m.t ADD COLUMN c int DEFAULT 1;"),
                                   ("S001_c.sql", "INSERT INTO m.t VALUES (1, 'x');")]]),
        ];
        let report = replay(&server(&db), &roads, &Ids::random(), &|_| ()).await.unwrap();
        assert!(!report.same());
        let of = |name| report.arrivals.iter().find(|arrival| arrival.road == name).unwrap();
        assert_eq!(of("other default").comparison.differences, [
            Difference::Left("column m.t.c integer default 1".into()),
            Difference::Right("column m.t.c integer default 2".into()),
        ]);
        assert!(of("other order").comparison.same() && !of("other order").comparison.order_only.is_empty());
        assert!(
            matches!(&of("a row more").comparison.differences[..], [Difference::Right(line)] if line.starts_with("rows m.t 1 "))
        );
    }

    async fn a_road_that_breaks_off_leaves_no_database_behind(db: TestDatabase) {
        let broken = [road("broken", &[&[("001_a.sql", "CREATE TABLE m.t (a nonsense);")]])];
        // Counted ids name the scratch database beforehand; nobody else here counts.
        let error = replay(&server(&db), &broken, &Ids::counted(), &|_| ()).await.unwrap_err();
        assert!(matches!(&error, ReplayError::Failed { file, .. } if file == "001_a.sql"), "{error}");
        let name = format!("progress_scratch_{}", Ids::counted().uuid().simple());
        assert!(!is_there(&db, &name).await, "{name} was left behind");
    }

    async fn a_broken_index_is_found_and_rebuilt(db: TestDatabase) {
        let owner = db.owner().await;
        owner.batch_execute("CREATE TABLE ledger.twice (a int); INSERT INTO ledger.twice VALUES (1), (1)").await.unwrap();
        owner.batch_execute("CREATE UNIQUE INDEX CONCURRENTLY broken ON ledger.twice (a)").await.unwrap_err();
        let session = db.store().ddl().await.unwrap();
        let schemas = ["ledger".to_owned()];
        let found = candidates(&session, &schemas, 1 << 24).await.unwrap();
        assert_eq!(found.iter().map(|one| (one.index.as_str(), one.why)).collect::<Vec<_>>(), [("ledger.broken", Why::Invalid)]);
        owner.batch_execute("DELETE FROM ledger.twice WHERE ctid = '(0,2)'").await.unwrap();
        rebuild(&session, &found[0]).await.unwrap();
        assert_eq!(candidates(&session, &schemas, 1 << 24).await.unwrap(), []);
    }

    async fn a_bloated_index_is_found_and_shrinks(db: TestDatabase) {
        let owner = db.owner().await;
        owner.batch_execute(
            "CREATE TABLE ledger.grown (a bigint); CREATE INDEX grown_a ON ledger.grown (a);
             INSERT INTO ledger.grown SELECT generate_series(1, 60000);
             DELETE FROM ledger.grown WHERE a % 20 <> 0").await.unwrap();
        owner.batch_execute("VACUUM ANALYZE ledger.grown").await.unwrap();
        let session = db.store().ddl().await.unwrap();
        let schemas = ["ledger".to_owned()];
        let found = candidates(&session, &schemas, 1 << 16).await.unwrap();
        assert_eq!(found.iter().map(|one| (one.index.as_str(), one.why)).collect::<Vec<_>>(), [("ledger.grown_a", Why::Bloated)]);
        rebuild(&session, &found[0]).await.unwrap();
        assert_eq!(candidates(&session, &schemas, 1 << 16).await.unwrap(), []);
    }
}
