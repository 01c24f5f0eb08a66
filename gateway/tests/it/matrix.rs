//! Every shape of query gives over the foreign table, and over its parent, what it gives over a local one.

use tokio_postgres::Client;

use crate::support::{Gateway, ask, both_sides, refusal};

/// `{t}` is the table, `{a}` and `{b}` ids, `{v}` and `{w}` keys of verbs, `{g}` a key of an agent, `{x}` a tenant.
const SHAPES: &[&str] = &[
    // whole rows, and their order
    "SELECT * FROM {t}",
    "SELECT * FROM {t} ORDER BY stored, id",
    "SELECT * FROM {t} ORDER BY stored DESC LIMIT 25",
    "SELECT * FROM {t} ORDER BY stored LIMIT 25 OFFSET 100",
    "SELECT id FROM {t} ORDER BY id",
    "SELECT id FROM {t} ORDER BY id DESC LIMIT 7",
    "SELECT id, occurred FROM {t} ORDER BY occurred, id",
    "SELECT id, occurred FROM {t} ORDER BY occurred DESC, id LIMIT 40",
    "SELECT id, agent_key FROM {t} ORDER BY agent_key NULLS FIRST, id LIMIT 60",
    "SELECT payload FROM {t} ORDER BY payload LIMIT 30",
    "SELECT id FROM {t} ORDER BY voiding DESC, verb_key, id LIMIT 50",
    // one key
    "SELECT * FROM {t} WHERE id = '{a}'",
    "SELECT * FROM {t} WHERE id = '00000000-0000-0000-0000-000000000000'",
    "SELECT id, stored FROM {t} WHERE verb_key = '{v}' ORDER BY stored",
    "SELECT count(*) FROM {t} WHERE agent_key = '{g}'",
    "SELECT count(*) FROM {t} WHERE agent_key <> '{g}'",
    "SELECT count(*) FROM {t} WHERE tenant_id = '{x}'",
    "SELECT id FROM {t} WHERE id > '{a}' ORDER BY id LIMIT 10",
    "SELECT id FROM {t} WHERE id BETWEEN '40000000-0000-0000-0000-000000000000' AND '5fffffff-ffff-ffff-ffff-ffffffffffff'",
    // several keys
    "SELECT stored FROM {t} WHERE id IN ('{a}', '{b}')",
    "SELECT count(*) FROM {t} WHERE id NOT IN ('{a}', '{b}')",
    "SELECT stored FROM {t} WHERE id = ANY ('{{a},{b}}'::uuid[])",
    "SELECT count(*) FROM {t} WHERE verb_key <> ALL ('{{v},{w}}'::uuid[])",
    "SELECT count(*) FROM {t} WHERE agent_key = ANY ('{}'::uuid[])",
    "SELECT count(*) FROM {t} WHERE agent_key = ANY (ARRAY['{g}', NULL]::uuid[])",
    "SELECT count(*) FROM {t} WHERE verb_key = '{v}' OR agent_key = '{g}'",
    "SELECT count(*) FROM {t} WHERE (verb_key = '{v}' AND voiding) OR (NOT converts AND agent_key = '{g}')",
    // times
    "SELECT id FROM {t} WHERE stored >= '2026-03-10' AND stored < '2026-03-11' ORDER BY stored",
    "SELECT count(*) FROM {t} WHERE stored > '2026-03-10 12:00:00.000001+02'",
    "SELECT count(*) FROM {t} WHERE stored BETWEEN '2026-03-05' AND '2026-03-06 06:00+00'",
    "SELECT count(*) FROM {t} WHERE stored < 'infinity' AND stored > '-infinity'",
    "SELECT count(*) FROM {t} WHERE stored < '2026-03-01'",
    "SELECT count(*) FROM {t} WHERE occurred < stored",
    "SELECT count(*) FROM {t} WHERE occurred IS DISTINCT FROM stored",
    "SELECT date_trunc('day', stored) AS day, count(*) FROM {t} GROUP BY 1 ORDER BY 1",
    "SELECT extract(hour FROM stored) AS hour, count(*) FROM {t} GROUP BY 1 ORDER BY 1",
    // nulls and flags
    "SELECT count(*) FROM {t} WHERE registration_key IS NULL",
    "SELECT count(*) FROM {t} WHERE registration_key IS NOT NULL AND refers_to IS NULL",
    "SELECT id FROM {t} WHERE voiding ORDER BY stored",
    "SELECT count(*) FROM {t} WHERE NOT voiding",
    "SELECT count(*) FROM {t} WHERE voiding IS NOT TRUE",
    "SELECT count(*) FROM {t} WHERE voiding = converts",
    "SELECT coalesce(occurred, stored) AS at FROM {t} ORDER BY 1 LIMIT 20",
    "SELECT CASE WHEN voiding THEN 'v' ELSE 's' END AS what, count(*) FROM {t} GROUP BY 1 ORDER BY 1",
    // aggregates
    "SELECT count(*) FROM {t}",
    "SELECT count(occurred), count(DISTINCT agent_key), count(DISTINCT verb_key) FROM {t}",
    "SELECT min(stored), max(stored), min(occurred), max(occurred) FROM {t}",
    "SELECT verb_key, count(*) FROM {t} GROUP BY verb_key ORDER BY 2 DESC, 1",
    "SELECT verb_key, voiding, count(*), min(stored), max(stored) FROM {t} GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT agent_key, count(*) FROM {t} GROUP BY agent_key HAVING count(*) > 15 ORDER BY count(*) DESC, agent_key",
    "SELECT bool_or(voiding), bool_and(converts), every(NOT voiding) FROM {t}",
    "SELECT count(*) FILTER (WHERE voiding), count(*) FILTER (WHERE agent_key = '{g}') FROM {t}",
    "SELECT sum(CASE WHEN voiding THEN 1 ELSE 0 END) FROM {t}",
    "SELECT avg(length(payload)), sum(length(payload)), variance(length(payload)) FROM {t}",
    "SELECT count(*) FROM {t} WHERE verb_key = '00000000-0000-0000-0000-000000000000'",
    "SELECT max(stored) FROM {t} WHERE verb_key = '00000000-0000-0000-0000-000000000000'",
    "SELECT string_agg(left(id::text, 4), ',' ORDER BY stored) FROM {t} WHERE voiding",
    "SELECT DISTINCT verb_key, converts FROM {t} ORDER BY 1, 2",
    "SELECT DISTINCT ON (verb_key) verb_key, id, stored FROM {t} ORDER BY verb_key, stored DESC",
    // what is said in the statement
    "SELECT count(*) FROM {t} WHERE payload LIKE '%learner1_@x.example%'",
    "SELECT count(*) FROM {t} WHERE payload ILIKE '%ZOË%'",
    r"SELECT count(*) FROM {t} WHERE payload LIKE '%it''s 100\%\_\\\\\\\\done%'",
    "SELECT count(*) FROM {t} WHERE payload ~ 'course/1[02]\"'",
    "SELECT id FROM {t} WHERE payload::jsonb->'actor'->>'mbox' = 'mailto:learner7@x.example' ORDER BY stored",
    "SELECT (payload::jsonb->'result'->'score'->>'scaled')::numeric AS s, count(*) FROM {t} GROUP BY 1 ORDER BY 1",
    "SELECT count(*) FROM {t} WHERE payload::jsonb @> '{\"verb\": {\"id\": \"http://v.example/passed\"}}'",
    "SELECT upper(substr(payload, 1, 9)), lower(left(payload, 20)) || '!' FROM {t} ORDER BY id LIMIT 5",
    "SELECT md5(string_agg(payload, '' ORDER BY stored)) FROM {t}",
    // several tables
    "SELECT count(*) FROM {t} a JOIN {t} b ON b.refers_to = a.id",
    "SELECT a.id, b.stored FROM {t} a JOIN {t} b ON b.refers_to = a.id AND b.tenant_id = a.tenant_id ORDER BY a.id",
    "SELECT count(*) FROM {t} a LEFT JOIN {t} b ON b.refers_to = a.id WHERE b.id IS NULL",
    "SELECT count(*) FROM {t} a WHERE EXISTS (SELECT FROM {t} b WHERE b.refers_to = a.id)",
    "SELECT count(*) FROM {t} a WHERE NOT EXISTS (SELECT FROM {t} b WHERE b.refers_to = a.id)",
    "SELECT count(*) FROM {t} WHERE id IN (SELECT refers_to FROM {t} WHERE voiding)",
    "SELECT (SELECT count(*) FROM {t} b WHERE b.agent_key = a.agent_key) FROM {t} a WHERE a.voiding ORDER BY a.stored",
    "SELECT l.verb_key, count(*) FROM local.statements l JOIN {t} f USING (id) GROUP BY 1 ORDER BY 1",
    "SELECT x.n, f.id FROM generate_series(1, 3) x(n), LATERAL (SELECT id FROM {t} WHERE stored > timestamptz '2026-03-01' + x.n * interval '1 day' ORDER BY stored LIMIT 1) f ORDER BY 1",
    "SELECT id FROM {t} WHERE voiding UNION SELECT refers_to FROM {t} WHERE voiding ORDER BY 1",
    "SELECT count(*) FROM (SELECT id FROM {t} EXCEPT SELECT id FROM local.statements) d",
    "WITH busy AS (SELECT agent_key FROM {t} GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 3) SELECT agent_key, min(stored) FROM {t} JOIN busy USING (agent_key) GROUP BY 1 ORDER BY 1",
    "SELECT id, row_number() OVER (PARTITION BY verb_key ORDER BY stored) FROM {t} WHERE stored < '2026-03-04' ORDER BY stored",
    // pages
    "SELECT id FROM {t} WHERE stored > '2026-03-09 05:00+00' OR (stored = '2026-03-09 05:00+00' AND id > '{a}') ORDER BY stored, id LIMIT 12",
    "SELECT id FROM {t} WHERE (stored, id) < ('2026-03-09 05:00+00', '{a}') ORDER BY stored DESC, id DESC LIMIT 12",
    "SELECT NULL FROM {t} LIMIT 3",
    "SELECT tableoid <> 0 FROM {t} LIMIT 1",
    "SELECT 1 FROM {t} WHERE false",
];

/// What the gateway refuses where PostgreSQL sends it, and the same as the hint says, computed by PostgreSQL.
const REFUSED: &[(&str, &str)] = &[
    (
        "SELECT count(*) FROM {t} WHERE stored - occurred > interval '30 seconds'",
        "WITH rows AS MATERIALIZED (SELECT stored, occurred FROM {t}) SELECT count(*) FROM rows WHERE stored - occurred > interval '30 seconds'",
    ),
    (
        "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY stored) FROM {t}",
        "WITH rows AS MATERIALIZED (SELECT stored FROM {t}) SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY stored) FROM rows",
    ),
    (
        "SELECT array_agg(verb_key ORDER BY stored) FROM {t}",
        "WITH rows AS MATERIALIZED (SELECT verb_key, stored FROM {t}) SELECT array_agg(verb_key ORDER BY stored) FROM rows",
    ),
];

/// The shapes with one table's name, and with values that are there.
async fn filled(client: &Client, shape: &str, table: &str) -> String {
    let row = client
        .query_one(
            "SELECT (array_agg(id::text ORDER BY stored))[700], (array_agg(id::text ORDER BY stored))[900], \
             min(verb_key::text), max(verb_key::text), min(agent_key::text), min(tenant_id::text) FROM local.statements",
            &[],
        )
        .await
        .unwrap();
    let names = ["{a}", "{b}", "{v}", "{w}", "{g}", "{x}"];
    let filled = shape.replace("{t}", table);
    names.iter().enumerate().fold(filled, |shape, (at, name)| shape.replace(name, row.get::<_, &str>(at)))
}

async fn compare(client: &Client, shape: &str, table: &str) -> Result<(), String> {
    let sorted = |mut rows: Vec<Vec<String>>| {
        if !shape.contains("ORDER BY") {
            rows.sort();
        }
        rows
    };
    let local = ask(client, &filled(client, shape, "local.statements").await).await;
    let local = sorted(local.unwrap_or_else(|error| panic!("{shape}: {error:?}")));
    match ask(client, &filled(client, shape, table).await).await {
        Err(error) => Err(format!("{table}: {shape}\n    {error:?}")),
        Ok(far) if sorted(far.clone()) == local => Ok(()),
        Ok(far) => {
            let (far, rows) = (sorted(far), local.len());
            let at = far.iter().zip(&local).position(|(far, local)| far != local);
            let differ = at.map(|at| format!("{:?} and not {:?}", far[at], local[at]));
            Err(format!("{table}: {shape}\n    {} rows and not {rows}; {differ:?}", far.len()))
        }
    }
}

on_each_server! {
    async fn every_shape_gives_what_a_local_table_gives(db: TestDatabase) {
        assert!(SHAPES.len() >= 60);
        let (gateway, rows) = Gateway::filled().await;
        let client = both_sides(&db, &gateway, &rows).await;
        let mut wrong = Vec::new();
        for table in ["far.month", "far.statements"] {
            for shape in SHAPES {
                wrong.extend(compare(&client, shape, table).await.err());
            }
        }
        assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), SHAPES.len() * 2, wrong.join("\n"));
    }

    async fn what_is_refused_goes_the_way_that_the_hint_says(db: TestDatabase) {
        let (gateway, rows) = Gateway::filled().await;
        let client = both_sides(&db, &gateway, &rows).await;
        for (shape, instead) in REFUSED {
            let (code, said) = refusal(ask(&client, &filled(&client, shape, "far.month").await).await);
            assert!(code == "0A000" && said.contains("AS MATERIALIZED"), "{shape}: {code} {said}");
            for table in ["far.month", "far.statements"] {
                compare(&client, instead, table).await.unwrap();
            }
        }
    }

    async fn prepared_statements_send_their_values_along(db: TestDatabase) {
        let (gateway, rows) = Gateway::filled().await;
        let client = both_sides(&db, &gateway, &rows).await;
        client.batch_execute("SET plan_cache_mode = force_generic_plan").await.unwrap();
        let one = &rows[321];
        for table in ["local.statements", "far.month", "far.statements"] {
            let query = format!("SELECT payload::text FROM {table} WHERE stored >= $1 AND stored <= $1 AND verb_key = ANY ($2) AND voiding = $3");
            let found = client.query(&query, &[&one.stored, &vec![one.verb_key], &one.voiding]).await.unwrap();
            assert_eq!(found.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), [one.payload.clone()], "{table}");
            let none = client.query(&query, &[&one.stored, &None::<Vec<uuid::Uuid>>, &one.voiding]).await.unwrap();
            assert!(none.is_empty());
        }
    }

    async fn aggregates_orders_and_limits_are_computed_by_the_gateway(db: TestDatabase) {
        let (gateway, rows) = Gateway::filled().await;
        let client = both_sides(&db, &gateway, &rows).await;
        for (query, sent) in [
            ("SELECT verb_key, count(*) FROM far.month GROUP BY verb_key", "GROUP BY 1"),
            ("SELECT id FROM far.month ORDER BY stored DESC LIMIT 3", "LIMIT 3::bigint"),
            ("SELECT id FROM far.statements WHERE stored > '2026-03-05' AND agent_key IS NULL", "(agent_key IS NULL)"),
        ] {
            let plan = ask(&client, &format!("EXPLAIN (VERBOSE, COSTS off) {query}")).await.unwrap().concat().join("\n");
            assert!(plan.contains("Remote SQL") && plan.contains(sent), "{plan}");
        }
        let plan = ask(&client, "EXPLAIN (VERBOSE) SELECT id FROM far.month WHERE payload LIKE '%x%'").await.unwrap().concat().join("\n");
        assert!(!plan.contains("~~ '%x%'::text)\nRemote") && plan.contains("Filter: ((month.payload)::text ~~"), "{plan}");
    }
}
