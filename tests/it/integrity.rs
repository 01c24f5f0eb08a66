//! What a rollout looks at besides requests: the whole, before a step switches and while it is baked, and whether its backfill came to an end.

use serde_json::json;

use crate::support::shop::{ROOT, Shop};

/// A backfill that leaves out what it should do.
const STOPS_EARLY: &str = "-- Description: green things
-- Breaking: no
-- Manual: yes
-- Lock: none
-- Backfill: shop.things by tenant_id, id
-- Remains: colour = 'red'

UPDATE shop.things t SET colour = 'green' FROM batch b WHERE (t.tenant_id, t.id) = (b.tenant_id, b.id) AND t.id < 500;
";

on_the_newest_server! {
    async fn what_goes_wrong_while_it_is_baked_takes_everything_back(db: TestDatabase) {
        let shop = Shop::open(db, &[("DM001_green.sql", STOPS_EARLY)]).await;
        for (harm, mend, word) in [
            ("CREATE POLICY leak ON progress.scores FOR SELECT TO progress_service USING (true)", "DROP POLICY leak ON progress.scores",
             "tenant-isolation"),
            ("CREATE FUNCTION ledger.bad() RETURNS integer LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION ledger.bad()", "functions"),
            ("UPDATE shop.things SET colour = 'rde' WHERE id = 77777", "UPDATE shop.things SET colour = 'red' WHERE id = 77777",
             "every-thing-is-red: 1 rows"),
            ("INSERT INTO shop.things (tenant_id, id) SELECT '00000000-0000-4000-8000-000000000009', 5",
             "DELETE FROM shop.things WHERE tenant_id::text LIKE '%9'", "no-thing-twice: 1 rows"),
            ("ALTER TABLE shop.things ALTER colour SET DEFAULT 'blue'", "ALTER TABLE shop.things ALTER colour SET DEFAULT 'red'",
             "red-by-itself: 1 rows"),
        ] {
            shop.begin(&Shop::switched("1h")).await;
            shop.is_switched().await;
            shop.sql(harm).await;
            let ended = shop.until("rolled_back", word).await;
            let why = ended["why"].as_str().unwrap();
            assert!(why.starts_with("integrity: ") && why.contains(word), "{word}: {why}");
            shop.is_as_before(word).await;
            shop.sql(mend).await;
        }
    }

    async fn a_backfill_that_stops_early_ends_its_rollout_before_anybody_has_it(db: TestDatabase) {
        let shop = Shop::open(db, &[("DM001_green.sql", STOPS_EARLY)]).await;
        let steps = "[[steps]]\nname = \"fill\"\nkind = \"backfill\"\nbackfill = \"shop/DM001_green\"\n";
        shop.begin(&Shop::plan(steps).replace("[[checks]]\nname = \"every-thing-is-red\"\nsql = \"SELECT id FROM shop.things WHERE colour <> 'red'\"\n", "")).await;
        let ended = shop.until("rolled_back", "the end").await;
        assert!(ended["why"].as_str().unwrap().starts_with("the backfill shop/DM001_green failed: "), "{ended}");
        assert!(!ended["events"].to_string().contains("\"set\""), "{ended}");
    }

    async fn what_is_wrong_beforehand_is_no_beginning(db: TestDatabase) {
        let shop = Shop::open(db, &[("DM001_green.sql", STOPS_EARLY)]).await;
        shop.sql("UPDATE shop.things SET colour = 'rde' WHERE id = 77777").await;
        shop.begin(&Shop::switched("1h")).await;
        let held = shop.until("holding", "it holds").await;
        assert_eq!(held["why"], "something is wrong before it begins: every-thing-is-red: 1 rows");
        let refused = shop.app.post(&format!("{ROOT}/a-release/advance"), &json!({})).await.expect(409);
        assert!(refused.text().contains("nothing was switched yet"), "{}", refused.text());
        shop.sql("UPDATE shop.things SET colour = 'red' WHERE id = 77777").await;
        shop.is_switched().await;
        shop.app.post(&format!("{ROOT}/a-release/abort"), &json!({"reason": "seen"})).await.expect(200);
        shop.is_as_before("aborted").await;
    }
    async fn what_goes_wrong_between_two_switches_takes_everything_back(db: TestDatabase) {
        let shop = Shop::open(db, &[]).await;
        shop.begin(&Shop::switched("1h")).await;
        shop.is_switched().await;
        shop.app.post(&format!("{ROOT}/a-release/pause"), &json!({})).await.expect(200);
        // As if it had come after the last look at the pilots, and before the first for everybody.
        shop.sql("UPDATE shop.things SET colour = 'rde' WHERE id = 77777").await;
        shop.sql("UPDATE platform.rollouts SET step = 1, acted_at = NULL WHERE name = 'a-release'").await;
        shop.app.post(&format!("{ROOT}/a-release/resume"), &json!({})).await.expect(200);
        let ended = shop.until("rolled_back", "the end").await;
        assert_eq!(ended["why"], "integrity: every-thing-is-red: 1 rows");
        shop.is_as_before("taken back").await;
    }
}
