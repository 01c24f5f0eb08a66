//! Whoever has the service's login, or writes a plug-in, does not come by the owner's rights; nobody empties what is kept.

use progress_service::{
    migrate::{
        Module, Runner, Settings,
        checks::{Check, Status, gather_after, gather_rights},
        modules, silent,
    },
    model::{Clock, Ids, TenantId},
    store::{
        As, Store, StoreError,
        ledger::{pages, statements},
    },
};
use tokio_postgres::{Client, error::SqlState};
use uuid::Uuid;

use crate::support::pg::{Server, TestDatabase};

const SCHEMAS: [&str; 3] = modules::INTERNAL;

/// Takes the place of names that functions may use. Whoever runs into one of them leaves a name in `attack.ran`.
const ATTACK: &str = "
    CREATE FUNCTION pg_temp.evil() RETURNS pg_catalog.bool LANGUAGE plpgsql AS $$ BEGIN
        PERFORM pg_catalog.set_config('attack.ran',
            pg_catalog.concat(pg_catalog.current_setting('attack.ran', true), ' ', current_user), false);
        RETURN true;
    END $$;
    DO $$ DECLARE name pg_catalog.text; BEGIN
        FOREACH name IN ARRAY ARRAY['pg_locks', 'pg_database', 'pg_class', 'pg_inherits', 'pg_namespace', 'pg_roles'] LOOP
            EXECUTE pg_catalog.format('CREATE VIEW pg_temp.%1$I AS SELECT r.* FROM pg_catalog.%1$I r WHERE pg_temp.evil()', name);
        END LOOP;
        FOREACH name IN ARRAY ARRAY['ledger.clock', 'ledger.partitions', 'ledger.refs', 'ledger.reaches', 'ledger.statement_ids',
            'ledger.statements', 'ledger.relations', 'ledger.month_fills', 'ledger.month_divisions', 'ledger.demo_tenants', 'ledger.holds', 'ledger.retention_rules', 'ledger.retention_assignments', 'platform.tenants', 'platform.credentials', 'platform.signing_keys'] LOOP
            EXECUTE pg_catalog.format('CREATE VIEW pg_temp.%I AS SELECT r.* FROM %s r WHERE pg_temp.evil()',
                pg_catalog.split_part(name, '.', 2), name);
        END LOOP;
        FOREACH name IN ARRAY ARRAY['text', 'bytea', 'uuid', 'date', 'timestamptz', 'jsonb', 'oid', 'regclass', 'name'] LOOP
            EXECUTE pg_catalog.format('CREATE DOMAIN pg_temp.%1$I AS pg_catalog.%1$I CHECK (pg_temp.evil())', name);
        END LOOP;
    END $$";

/// Every function of the schemas that can be called, as a call, with its owner.
const CALLS: &str = "
    SELECT pg_catalog.format('SELECT pg_catalog.count(*) FROM %I.%I(%s)', n.nspname, p.proname,
        (SELECT pg_catalog.string_agg(CASE t.typname WHEN 'int8' THEN '1' WHEN 'text' THEN '''x'''
             WHEN 'uuid' THEN '''00000000-0000-4000-8000-000000000001''' WHEN 'timestamptz' THEN '''2031-05-05Z'''
             WHEN 'date' THEN '''2031-05-05''' WHEN 'bytea' THEN '''\\x00'''
             WHEN '_uuid' THEN '''{00000000-0000-4000-8000-000000000001}''' ELSE '<' || t.typname || '>' END
             || '::pg_catalog.' || t.typname, ', ' ORDER BY a.place)
         FROM pg_catalog.unnest(p.proargtypes) WITH ORDINALITY AS a (type, place) JOIN pg_catalog.pg_type t ON t.oid = a.type))
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = ANY ($1) AND p.prorettype <> 'pg_catalog.trigger'::pg_catalog.regtype ORDER BY 1";

/// How a function may end that is not for its caller, or not for such arguments.
const REFUSALS: [SqlState; 4] = [
    SqlState::INSUFFICIENT_PRIVILEGE,
    SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
    SqlState::INVALID_PARAMETER_VALUE,
    SqlState::CHECK_VIOLATION,
];

fn runner(db: &TestDatabase, modules: Vec<Module>) -> Runner {
    Runner::new(modules, db.store_settings().owner, Settings::default())
}

fn line<'c>(checks: &'c [Check], name: &str) -> &'c Check {
    checks.iter().find(|check| check.name == name).unwrap()
}

async fn migrated(server: &'static Server) -> TestDatabase {
    let db = TestDatabase::empty(server).await;
    runner(&db, modules::internal().unwrap()).startup("test", &silent).await.unwrap();
    db
}

fn plugin(body: &str) -> Module {
    // The linter would not let it come so far.
    let excused = ["function-search-path", "definer-revoked"]
        .map(|rule| format!("-- progress: allow {rule} because the check behind it is tried\n"))
        .concat();
    let text = format!("-- Description: a plug-in of a test\n-- Breaking: no\n-- Manual: no\n{excused}\n{body}\n");
    Module::new("shop", [("001_function.sql", text.as_str())], true).unwrap()
}

/// What the checks say of the functions once this plug-in is there too.
async fn with_plugin(server: &'static Server, body: &str) -> Check {
    let db = TestDatabase::empty(server).await;
    let modules = modules::internal().unwrap().into_iter().chain([plugin(body)]).collect();
    let runner = runner(&db, modules);
    runner.startup("test", &silent).await.unwrap();
    line(&gather_after(&runner, &Clock::system()).await.unwrap(), "functions").clone()
}

/// Months of the ledger: name of the table.
async fn months(client: &Client) -> Vec<String> {
    let sql = "SELECT inhrelid::regclass::text FROM pg_inherits
               WHERE inhparent IN ('ledger.statements'::regclass, 'ledger.relations'::regclass) ORDER BY 1";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

async fn refuses_truncation(client: &Client, table: &str) {
    for how in ["", "SET LOCAL session_replication_role = replica; "] {
        let error = client.batch_execute(&format!("BEGIN; {how}TRUNCATE {table} CASCADE")).await.expect_err(table);
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{table}: {error:?}");
        client.batch_execute("ROLLBACK").await.unwrap();
    }
}

/// Fills two tenants with statements and answers some ids of the second.
async fn two_tenants(db: &TestDatabase) -> Vec<Uuid> {
    let client = db.superuser().await;
    client
        .batch_execute(
            "SELECT ledger.ensure_month(now());
             INSERT INTO ledger.statement_ids (tenant_id, id, stored, digest)
                 SELECT t::uuid, gen_random_uuid(), now() + (n + 100000 * place) * interval '1 microsecond', ''
                 FROM unnest(ARRAY['00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002'])
                      WITH ORDINALITY AS tenant (t, place), generate_series(1, 3000) AS n;
             INSERT INTO ledger.statements (tenant_id, id, stored, verb_key, voiding, converts, payload)
                 SELECT tenant_id, id, stored, id, false, false, '{}' FROM ledger.statement_ids;
             INSERT INTO ledger.refs (tenant_id, target_id, referrer_id, stored, voids)
                 SELECT tenant_id, id, gen_random_uuid(), stored, false FROM ledger.statement_ids;
             ANALYZE",
        )
        .await
        .unwrap();
    let sql = "SELECT id FROM ledger.statement_ids WHERE tenant_id = '00000000-0000-4000-8000-000000000002' ORDER BY id LIMIT 40";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

const TOUCHED: &str =
    "SELECT coalesce(sum(pg_stat_get_xact_blocks_fetched(c.oid) + pg_stat_get_xact_tuples_returned(c.oid)
        + pg_stat_get_xact_tuples_fetched(c.oid)), 0)::bigint
    FROM pg_class c WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind IN ('r', 'i')";

/// Pages and rows that are touched to answer a GET, and to look before a POST, of each of these ids.
async fn touched(store: &Store, ids: &[Uuid]) -> (i64, i64) {
    let all = store
        .run_tx("touched", As::Tenant(TenantId::DEFAULT), |tx| {
            Box::pin(async move {
                let mut counts = [0_i64; 3];
                counts[0] = tx.query_one(TOUCHED, &[]).await?.get(0);
                for id in ids {
                    assert!(
                        tx.query(&pages::by_id_sql(&pages::Sight::Everything), &[&TenantId::DEFAULT.0, id])
                            .await?
                            .is_empty()
                    );
                }
                counts[1] = tx.query_one(TOUCHED, &[]).await?.get(0);
                for id in ids {
                    let before = statements::beforehand(tx, &[(TenantId::DEFAULT, *id)]).await?;
                    assert!(before.known.is_empty() && before.awaited.is_empty());
                }
                counts[2] = tx.query_one(TOUCHED, &[]).await?.get(0);
                Ok::<_, StoreError>(counts)
            })
        })
        .await
        .unwrap();
    (all[1] - all[0], all[2] - all[1])
}

on_each_server! {
    async fn an_id_of_another_tenant_costs_what_an_unknown_one_costs(db: TestDatabase) {
        let theirs = two_tenants(&db).await;
        let store = db.store();
        let unknown: Vec<Uuid> = theirs.iter().map(|_| Ids::random().uuid()).collect();
        // What is read once and for all is read before: catalogs, and plans that a session makes up its mind about.
        touched(&store, &unknown).await;
        let ((get, post), (get_theirs, post_theirs)) = (touched(&store, &unknown).await, touched(&store, &theirs).await);
        assert!(get >= 40 && post >= 80, "{get} and {post} are too few to be true");
        // A search may begin one page too early.
        assert!((get - get_theirs).abs() <= 4, "GET: {get} for unknown ids, {get_theirs} for another tenant's");
        assert!((post - post_theirs).abs() <= 4, "POST: {post} for unknown ids, {post_theirs} for another tenant's");
    }

    async fn every_function_is_guarded_on_the_live_catalog(db: TestDatabase) {
        let checks = gather_after(&runner(&db, modules::internal().unwrap()), &Clock::system()).await.unwrap();
        let functions = line(&checks, "functions");
        assert_eq!(functions.status, Status::Pass, "{functions}");
        let sql = "SELECT count(*) FROM pg_proc WHERE pronamespace::regnamespace::text = ANY ($1)";
        let there: i64 = db.owner().await.query_one(sql, &[&SCHEMAS.as_slice()]).await.unwrap().get(0);
        assert!(functions.found.starts_with(&format!("{there} ")) && there >= 9, "{functions}: {there} are there");
    }

    async fn a_plug_in_is_held_to_it(db: TestDatabase) {
        let server = db.server();
        let body = "CREATE FUNCTION shop.f() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS \
            'SELECT 1';";
        let found = with_plugin(server, body).await;
        assert!(found.status == Status::Fail && found.found.contains("shop.f()"), "{found}");
        let found = with_plugin(server, &body.replace("= pg_catalog", "= pg_catalog, pg_temp")).await;
        assert!(found.status == Status::Fail && found.found.starts_with("anybody may call shop.f()"), "{found}");
        let closed = format!(
            "{} REVOKE ALL ON FUNCTION shop.f() FROM PUBLIC;",
            body.replace("= pg_catalog", "= pg_catalog, pg_temp")
        );
        let found = with_plugin(server, &closed).await;
        assert_eq!(found.status, Status::Pass, "{found}");
    }

    async fn no_function_runs_what_its_caller_made(db: TestDatabase) {
        let grant = format!("GRANT TEMPORARY ON DATABASE {} TO PUBLIC", db.name());
        db.superuser().await.batch_execute(&grant).await.unwrap();
        let calls = db.owner().await.query(CALLS, &[&SCHEMAS.as_slice()]).await.unwrap();
        for role in ["progress_service", "progress_ingest", "progress_worker"] {
            // A session of its own for each: what it made stays with it.
            let session = db.service().await;
            session.batch_execute(ATTACK).await.unwrap();
            let set = format!(
                "SET ROLE {role}; SET search_path = pg_catalog; SET app.tenant_id = '00000000-0000-4000-8000-000000000001'"
            );
            session.batch_execute(&set).await.unwrap();
            let mut ran = 0;
            for call in &calls {
                let call: String = call.get(0);
                assert!(!call.contains('<'), "give an argument for {call}");
                match session.batch_execute(&call).await {
                    Ok(()) => ran += 1,
                    Err(error) => {
                        let code = error.code().cloned();
                        assert!(code.is_some_and(|code| REFUSALS.contains(&code)), "{call}: {error:?}");
                    }
                }
                let seen = "SELECT coalesce(pg_catalog.current_setting('attack.ran', true), '')";
                let hijacked: String = session.query_one(seen, &[]).await.unwrap().get(0);
                assert_eq!(hijacked, "", "as {role}: {call}");
            }
            let least = if role == "progress_ingest" { 2 } else { 6 };
            assert!(ran >= least, "{role} could call {ran} functions only");
        }
    }

    async fn the_services_login_makes_nothing_temporary(db: TestDatabase) {
        let fresh = migrated(db.server()).await;
        let error = fresh.service().await.batch_execute("CREATE TEMP TABLE clock (last_value bigint)").await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
        let service = fresh.store_settings().service;
        let runner = runner(&fresh, modules::internal().unwrap());
        let rights = async || gather_rights(&runner, &service).await.unwrap();
        assert_eq!(line(&rights().await, "temporary-objects").status, Status::Pass);
        fresh.owner().await.batch_execute(&format!("GRANT TEMPORARY ON DATABASE {} TO PUBLIC", fresh.name())).await.unwrap();
        assert_eq!(line(&rights().await, "temporary-objects").status, Status::Warn);
    }

    async fn a_database_of_somebody_else_is_migrated_and_told_about(db: TestDatabase) {
        let fresh = TestDatabase::empty(db.server()).await;
        let admin = fresh.superuser().await;
        let name = fresh.name();
        let give_away = format!(
            "ALTER DATABASE {name} OWNER TO CURRENT_USER; GRANT CREATE ON DATABASE {name} TO progress_test_owner"
        );
        admin.batch_execute(&give_away).await.unwrap();
        let runner = runner(&fresh, modules::internal().unwrap());
        runner.startup("test", &silent).await.unwrap();
        let rights = gather_rights(&runner, &fresh.store_settings().service).await.unwrap();
        assert_eq!(line(&rights, "temporary-objects").status, Status::Warn);
    }

    async fn no_month_and_no_table_of_the_ledger_can_be_emptied(db: TestDatabase) {
        db.store().ensure_partition(chrono::DateTime::from_timestamp(2_000_000_000, 0).unwrap()).await.unwrap();
        let client = db.superuser().await;
        let made = months(&client).await;
        assert!(
            made.contains(&"ledger.statements_2033_05".to_owned())
                && made.contains(&"ledger.relations_2033_05".to_owned())
        );
        let whole = [
            "statements",
            "relations",
            "statement_ids",
            "refs",
            "reaches",
            "activities",
            "agents",
            "verbs_seen",
            "documents",
            "attachments",
            "attachment_pieces",
            "attachment_bringers",
            "partitions",
            "detached_statements",
            "detached_relations",
            "segments",
            "holds",
            "retention_classes",
            "retention_requests",
            "retention_sign_offs",
            "retention_rules",
            "retention_assignments",
            "removals",
        ]
        .map(|table| format!("ledger.{table}"));
        let others = [
            "platform.audit",
            "platform.flags",
            "platform.rollout_events",
            "platform.audit_leaves",
            "platform.audit_subtrees",
            "platform.audit_checkpoints",
            "platform.audit_anchors",
            "platform.audit_keys",
            "progress.verbs",
            "progress.extension_namespaces",
            "progress.attempt_closures",
            "progress.inbox",
            "progress.saga_requests",
            "progress.silences",
        ]
        .map(str::to_owned);
        for table in made.iter().chain(&whole).chain(&others) {
            refuses_truncation(&client, table).await;
        }
    }

    async fn months_from_before_are_guarded_by_the_migration(db: TestDatabase) {
        let fresh = TestDatabase::empty(db.server()).await;
        let mut before = modules::internal().unwrap();
        for module in before.iter_mut().filter(|module| module.name == "ledger") {
            module.files.retain(|file| file.name.number < 22);
        }
        before.retain(|module| module.name != "progress");
        runner(&fresh, before).startup("test", &silent).await.unwrap();
        fresh.store().ensure_partition(chrono::DateTime::from_timestamp(2_000_000_000, 0).unwrap()).await.unwrap();
        runner(&fresh, modules::internal().unwrap()).startup("test", &silent).await.unwrap();
        let client = fresh.superuser().await;
        let months = months(&client).await;
        assert!(months.len() >= 2, "{months:?}");
        for month in months {
            refuses_truncation(&client, &month).await;
        }
    }
}
