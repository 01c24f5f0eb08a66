//! Whether one tenant reaches another's rows: tried with planted rows on the live schema, of which none stays.

use crate::store::{StoreError, door::ddl::Session};

/// What came of trying.
#[derive(Clone, Debug, Default)]
pub struct Isolation {
    /// Tables with a tenant that the service's role reads.
    pub tables: i32,
    /// Those of them that took a planted row; in the others what was there was looked for.
    pub planted: i32,
    /// Where another tenant's row was seen, or written.
    pub leaks: Vec<String>,
}

/// A row of one tenant is planted in each table, and looked for, changed and added to as another one. Whatever is written is
/// taken back at the end of each try by the exception that ends it; only what was found out stays, in variables.
const TRY: &str = r"/* isolation::try */ DO $probe$
DECLARE
    wanted pg_catalog.text[] := pg_catalog.string_to_array(pg_catalog.current_setting('probe.schemas'), ',');
    one record;
    mine CONSTANT pg_catalog.uuid := pg_catalog.gen_random_uuid();
    other CONSTANT pg_catalog.uuid := pg_catalog.gen_random_uuid();
    tables pg_catalog.int4 := 0;
    planted pg_catalog.int4 := 0;
    leaks pg_catalog.text[] := '{}';
    writer pg_catalog.text;
    is_planted pg_catalog.bool;
    is_seen pg_catalog.bool;
BEGIN
    -- Nobody waits for long behind what is tried, and it waits for nobody.
    PERFORM pg_catalog.set_config('lock_timeout', '50ms', true);
    FOR one IN
        SELECT c.oid::pg_catalog.regclass::pg_catalog.text AS name,
            pg_catalog.format('INSERT INTO %s (%s) VALUES (%s)', c.oid::pg_catalog.regclass,
                pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum),
                pg_catalog.string_agg(CASE WHEN a.attname = 'tenant_id' THEN '$1'
                    ELSE CASE pg_catalog.format_type(a.atttypid, NULL)
                        WHEN 'uuid' THEN 'pg_catalog.gen_random_uuid()' WHEN 'text' THEN '''x''' WHEN 'boolean' THEN 'false'
                        WHEN 'timestamp with time zone' THEN 'pg_catalog.now()' WHEN 'date' THEN 'current_date'
                        WHEN 'jsonb' THEN '''{}''' WHEN 'json' THEN '''{}''' WHEN 'bytea' THEN '''\x00'''
                        ELSE CASE WHEN t.typcategory = 'N' THEN '1' WHEN t.typcategory = 'A' THEN '''{}''' ELSE '''x''' END
                    END END, ', ' ORDER BY a.attnum)) AS plant
        FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            AND a.attgenerated = '' AND a.attidentity = '' AND (a.attname = 'tenant_id' OR a.attnotnull AND NOT a.atthasdef)
        JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        WHERE n.nspname = ANY (wanted) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND pg_catalog.has_table_privilege('progress_service', c.oid, 'SELECT')
            AND EXISTS (SELECT FROM pg_catalog.pg_attribute i WHERE i.attrelid = c.oid AND i.attname = 'tenant_id'
                AND NOT i.attisdropped AND i.atttypid = 'pg_catalog.uuid'::pg_catalog.regtype)
        GROUP BY c.oid ORDER BY 1
    LOOP
        tables := tables + 1;
        is_planted := false;
        is_seen := false;
        FOREACH writer IN ARRAY ARRAY['progress_service', 'progress_worker'] LOOP
            EXIT WHEN is_planted;
            BEGIN
                EXECUTE pg_catalog.format('SET LOCAL ROLE %I', writer);
                PERFORM pg_catalog.set_config('app.tenant_id', mine::pg_catalog.text, true);
                EXECUTE one.plant USING mine;
                SET LOCAL ROLE progress_service;
                PERFORM pg_catalog.set_config('app.tenant_id', other::pg_catalog.text, true);
                is_planted := true;
                EXECUTE pg_catalog.format('SELECT EXISTS (SELECT FROM %s WHERE tenant_id = $1)', one.name) INTO is_seen USING mine;
                RAISE EXCEPTION 'taken back' USING ERRCODE = 'PR000';
            EXCEPTION WHEN OTHERS THEN
                NULL;
            END;
        END LOOP;
        planted := planted + is_planted::pg_catalog.int4;
        BEGIN
            SET LOCAL ROLE progress_service;
            PERFORM pg_catalog.set_config('app.tenant_id', other::pg_catalog.text, true);
            IF NOT is_seen THEN
                EXECUTE pg_catalog.format('SELECT EXISTS (SELECT FROM %s WHERE tenant_id <> $1)', one.name) INTO is_seen USING other;
            END IF;
            RAISE EXCEPTION 'taken back' USING ERRCODE = 'PR000';
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
        IF is_seen THEN
            leaks := leaks || (one.name || ' is read by another tenant');
        END IF;
        BEGIN
            SET LOCAL ROLE progress_service;
            PERFORM pg_catalog.set_config('app.tenant_id', other::pg_catalog.text, true);
            EXECUTE one.plant USING mine;
            leaks := leaks || (one.name || ' is written by another tenant');
            RAISE EXCEPTION 'taken back' USING ERRCODE = 'PR000';
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
    END LOOP;
    PERFORM pg_catalog.set_config('probe.found', pg_catalog.json_build_object('tables', tables, 'planted', planted,
        'leaks', leaks)::pg_catalog.text, false);
END
$probe$";

/// Tries it on every table of these schemas.
pub async fn isolation(session: &Session, schemas: &[String]) -> Result<Isolation, StoreError> {
    attempt(session, schemas).await.map_err(|e| StoreError::from_pg("checks_isolation", &e))
}

async fn attempt(session: &Session, schemas: &[String]) -> Result<Isolation, tokio_postgres::Error> {
    let client = session.client();
    let set = "/* isolation::schemas */ SELECT set_config('probe.schemas', $1, false)";
    client.execute(set, &[&schemas.join(",")]).await?;
    client.batch_execute(TRY).await?;
    let found = "/* isolation::found */ SELECT (f ->> 'tables')::int, (f ->> 'planted')::int,
        ARRAY(SELECT jsonb_array_elements_text(f -> 'leaks')) FROM CAST(current_setting('probe.found') AS jsonb) AS f";
    let row = client.query_one(found, &[]).await?;
    Ok(Isolation { tables: row.get(0), planted: row.get(1), leaks: row.get(2) })
}
