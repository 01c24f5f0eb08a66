//! A large table: a batch costs what its own rows cost, and a server that forgot its counts holds nobody up.

use progress_service::{
    migrate::{backfill::Task, modules},
    store::{
        As, StoreError, Tx,
        platform::backfills::{self as rows, Walk},
    },
};
use serde_json::json;

use super::{COLOUR, ROWS, TABLE, fill, plugins, started};

/// Blocks of the table and its index that this session has touched; counted anew now and then, but not within a transaction.
async fn touched(tx: &Tx<'_>) -> Result<i64, StoreError> {
    let sql = "SELECT sum(pg_stat_get_xact_blocks_fetched(oid))::bigint FROM pg_class
        WHERE oid IN ('shop.things'::regclass, 'shop.things_pkey'::regclass)";
    Ok(tx.query_one(sql, &[]).await?.get(0))
}

on_each_server! {
    async fn a_batch_touches_no_more_of_a_large_table_than_its_rows(db: TestDatabase) {
        let folder = plugins(TABLE, COLOUR);
        let app = started(db, folder.path()).await;
        app.stop_loops().await;
        fill(&app, 1, 300_000).await;
        app.db.superuser().await.batch_execute("ANALYZE shop.things").await.unwrap();
        let (store, files) = (app.db.store(), modules::all(&[folder.path().to_owned()]).unwrap());
        let file = files.iter().flat_map(|module| &module.backfills).find(|one| one.file == "DM001_colour.sql").unwrap();
        let Task::Fill(statement) = &file.task else { panic!("{file:?}") };
        let walk = Walk { table: &file.table, keys: &file.keys, remains: &file.remains };
        // Far back, so that whoever goes there from the beginning goes a long way.
        let mut place = json!({"tenant_id": "00000000-0000-4000-8000-000000000002", "id": 200_000});
        // More often than a plan is made anew before it is kept.
        for batch in 0..8 {
            let after = &place;
            let one = store.run_tx("one_batch", As::Worker, |tx| {
                Box::pin(async move {
                    let before = touched(tx).await?;
                    let filled = rows::fill(tx, &walk, statement, Some(after), 100).await?;
                    let looked = rows::look(tx, &walk, Some(after), 100).await?;
                    Ok::<_, StoreError>((filled, looked, touched(tx).await? - before))
                })
            });
            let (filled, looked, blocks) = one.await.unwrap();
            assert_eq!((filled.rows, filled.changed, looked.rows, looked.changed), (100, 100, 100, 0));
            assert!(blocks < 100 * 25, "batch {batch} of 100 rows touches {blocks} blocks");
            place = filled.last.unwrap();
        }
    }

    async fn a_server_that_forgot_its_counts_knows_how_many_rows_live(db: TestDatabase) {
        let folder = plugins(TABLE, COLOUR);
        let app = started(db, folder.path()).await;
        fill(&app, 1, ROWS).await;
        let superuser = app.db.superuser().await;
        // As a server does that was killed: nothing is known of the table but what the catalog says.
        for sql in ["ANALYZE shop.things", "SELECT pg_stat_reset()"] {
            superuser.batch_execute(sql).await.unwrap();
        }
        let look = app.db.store().run_tx("health", As::Worker, |tx| Box::pin(rows::health(tx, "shop.things"))).await;
        assert!(look.as_ref().is_ok_and(|health| health.live == ROWS), "{look:?}");
    }
}
