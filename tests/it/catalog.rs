//! The catalog listing: the same for the same schema, different for every difference that matters.

use progress_service::{migrate::fingerprint::Fingerprint, store::schema::catalog};

use crate::support::pg::TestDatabase;

async fn fingerprint(db: &TestDatabase) -> Fingerprint {
    let session = db.store().ddl().await.unwrap();
    let schemas = ["platform", "ledger"].map(str::to_owned);
    catalog::listing(&session, &schemas).await.unwrap().into()
}

on_each_server! {
    async fn two_copies_are_the_same(db: TestDatabase) {
        let other = TestDatabase::new(db.server()).await;
        let (one, two) = (fingerprint(&db).await, fingerprint(&other).await);
        assert!(one.lines().any(|line| line.starts_with("table ledger.statements row security forced partitioned by RANGE")));
        assert!(one.compare(&two).same(), "{:?}", one.compare(&two));
        assert_eq!(one.digest, two.digest);
    }

    async fn every_planted_difference_is_seen(db: TestDatabase) {
        let before = fingerprint(&db).await;
        for (plant, remove, seen) in [
            ("CREATE TABLE ledger.extra (a int)", "DROP TABLE ledger.extra", "table ledger.extra"),
            ("ALTER TABLE ledger.documents ADD COLUMN x int DEFAULT 7", "ALTER TABLE ledger.documents DROP COLUMN x",
             "column ledger.documents.x integer default 7"),
            ("CREATE INDEX extra ON ledger.documents (etag)", "DROP INDEX ledger.extra", "index CREATE INDEX extra ON"),
            ("ALTER TABLE ledger.documents NO FORCE ROW LEVEL SECURITY", "ALTER TABLE ledger.documents FORCE ROW LEVEL SECURITY",
             "table ledger.documents row security forced"),
            ("ALTER TABLE ledger.documents ADD CONSTRAINT extra CHECK (etag <> '') NOT VALID",
             "ALTER TABLE ledger.documents DROP CONSTRAINT extra", "constraint ledger.documents.extra CHECK"),
            ("CREATE POLICY extra ON ledger.documents USING (false)", "DROP POLICY extra ON ledger.documents",
             "policy ledger.documents.extra"),
            ("GRANT DELETE ON ledger.statements TO progress_service", "REVOKE DELETE ON ledger.statements FROM progress_service",
             "grant DELETE on relation ledger.statements to progress_service"),
            ("GRANT UPDATE (etag) ON ledger.documents TO public", "REVOKE UPDATE (etag) ON ledger.documents FROM public",
             "grant UPDATE on column ledger.documents.etag to public"),
            ("ALTER TABLE ledger.statements DISABLE TRIGGER statements_are_append_only",
             "ALTER TABLE ledger.statements ENABLE ALWAYS TRIGGER statements_are_append_only", "enabled D"),
            ("CREATE FUNCTION ledger.extra() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION ledger.extra()",
             "function ledger.extra()"),
            ("CREATE TYPE ledger.extra AS ENUM ('a', 'b')", "DROP TYPE ledger.extra", "enum ledger.extra (a,b)"),
            (
                "INSERT INTO ledger.partitions (month, lower_bound, upper_bound) VALUES ('2020-01-01', '2020-01-01Z', \
                    '2020-02-01Z')",
                "DELETE FROM ledger.partitions WHERE month = '2020-01-01'",
                "rows ledger.partitions",
            ),
        ] {
            db.owner().await.batch_execute(plant).await.unwrap();
            let found = before.compare(&fingerprint(&db).await);
            assert!(format!("{:?}", found.differences).contains(seen), "{plant}: {found:?}");
            db.owner().await.batch_execute(remove).await.unwrap();
            let healed = before.compare(&fingerprint(&db).await);
            assert!(healed.same(), "{remove}: {healed:?}");
        }
    }
}
