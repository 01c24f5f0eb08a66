//! Forms that pass.

use super::super::{Script, testing::*};

pub(super) const HARMLESS: &[(Script, &str)] = &[
    (
        STARTUP,
        "CREATE TABLE progress.t (a int PRIMARY KEY, b text NOT NULL DEFAULT '', c timestamptz DEFAULT clock_timestamp());",
    ),
    (STARTUP, "CREATE TABLE IF NOT EXISTS progress.t (a int); CREATE INDEX IF NOT EXISTS i ON progress.t (a);"),
    (STARTUP, "CREATE TABLE progress.t (a bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, b int CHECK (b > 0));"),
    (
        STARTUP,
        "CREATE TABLE progress.t (a int); CREATE UNIQUE INDEX i ON progress.t (a); ALTER TABLE progress.t ADD COLUMN b int;",
    ),
    (
        STARTUP,
        "CREATE TABLE progress.t (a int) PARTITION BY LIST (a); CREATE TABLE progress.t1 PARTITION OF progress.t DEFAULT;",
    ),
    (STARTUP, "CREATE TABLE progress.t (a int); CREATE TABLE progress.u (a int REFERENCES progress.t);"),
    (STARTUP, "CREATE TABLE progress.t (a text REFERENCES progress.verbs (iri));"),
    (STARTUP, "CREATE TABLE progress.t (LIKE progress.scores INCLUDING DEFAULTS);"),
    (STARTUP, "CREATE UNLOGGED TABLE progress.t (a int);"),
    (STARTUP, "CREATE TABLE progress.t (a int); DROP TABLE progress.t;"),
    (STARTUP, "CREATE TABLE progress.t (a int); INSERT INTO progress.t SELECT generate_series(1, 10);"),
    (STARTUP, "CREATE TABLE progress.t (a int); INSERT INTO progress.t VALUES (1); UPDATE progress.t SET a = 2;"),
    (
        STARTUP,
        "CREATE TABLE progress.t (tenant_id uuid PRIMARY KEY);
         ALTER TABLE progress.t ENABLE ROW LEVEL SECURITY; ALTER TABLE progress.t FORCE ROW LEVEL SECURITY;
         CREATE POLICY own ON progress.t TO progress_service USING (tenant_id = (SELECT platform.current_tenant()));
         CREATE POLICY every ON progress.t TO progress_worker USING (true) WITH CHECK (true);
         GRANT SELECT ON progress.t TO progress_service;",
    ),
    (STARTUP, "CREATE SEQUENCE progress.q START 5;"),
    (STARTUP, "CREATE TYPE progress.k AS ENUM ('a', 'b');"),
    (STARTUP, "CREATE TYPE progress.pair AS (a int, b int);"),
    (STARTUP, "ALTER TYPE progress.k ADD VALUE IF NOT EXISTS 'c' AFTER 'b';"),
    (STARTUP, "CREATE VIEW progress.v AS SELECT id FROM progress.attempts;"),
    (STARTUP, "CREATE OR REPLACE VIEW progress.v AS SELECT id FROM progress.attempts;"),
    (STARTUP, "CREATE MATERIALIZED VIEW progress.v AS SELECT id FROM progress.attempts WITH NO DATA;"),
    (STARTUP, "CREATE VIEW progress.v AS SELECT stored FROM ledger.statements WHERE voiding;"),
    (RELEASE, "ALTER TABLE progress.t ADD COLUMN a text;"),
    (RELEASE, "ALTER TABLE progress.t ADD COLUMN a text NOT NULL DEFAULT 'x', ADD COLUMN b jsonb DEFAULT '{}'::jsonb;"),
    (RELEASE, "ALTER TABLE progress.t ADD COLUMN a timestamptz NOT NULL DEFAULT now();"),
    (
        RELEASE,
        "ALTER TABLE progress.t ADD COLUMN a text[] DEFAULT '{}', ADD COLUMN b numeric(5, 2), ADD COLUMN c uuid;",
    ),
    (RELEASE, "ALTER TABLE progress.t ADD COLUMN IF NOT EXISTS a timestamp with time zone;"),
    (RELEASE, "ALTER TABLE progress.t ADD COLUMN a text REFERENCES progress.verbs (iri);"),
    (RELEASE, "ALTER TABLE progress.t ALTER COLUMN a SET DEFAULT 5;"),
    (RELEASE, "ALTER TABLE progress.t ALTER COLUMN a DROP NOT NULL;"),
    (RELEASE, "ALTER TABLE progress.t ALTER COLUMN a SET STATISTICS 500;"),
    (RELEASE, "ALTER TABLE progress.t SET (fillfactor = 80);"),
    (RELEASE, "ALTER TABLE progress.t ADD CONSTRAINT c CHECK (a > 0) NOT VALID;"),
    (RELEASE, "ALTER TABLE progress.t VALIDATE CONSTRAINT c;"),
    (RELEASE, "ALTER TABLE progress.t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES progress.u (a) NOT VALID;"),
    (RELEASE, "ALTER TABLE progress.t ADD CONSTRAINT c UNIQUE USING INDEX t_a;"),
    (RELEASE, "ALTER TABLE progress.t ENABLE ROW LEVEL SECURITY;"),
    (RELEASE, "ALTER TABLE progress.t ENABLE ALWAYS TRIGGER g;"),
    (STARTUP, "CREATE TRIGGER g BEFORE UPDATE ON progress.t FOR EACH ROW EXECUTE FUNCTION platform.refuse_change();"),
    (
        STARTUP,
        "DROP TRIGGER IF EXISTS g ON progress.t;
         CREATE TRIGGER g BEFORE UPDATE ON progress.t FOR EACH ROW EXECUTE FUNCTION platform.refuse_change();",
    ),
    (STARTUP, "CREATE INDEX i ON ONLY progress.t (a);"),
    (STARTUP, "CREATE STATISTICS progress.s ON a, b FROM progress.t;"),
    (STARTUP, "COMMENT ON TABLE progress.t IS 'drop table'; COMMENT ON COLUMN progress.t.a IS 'x';"),
    (STARTUP, "ANALYZE progress.t;"),
    (STARTUP, "GRANT SELECT, INSERT ON progress.t TO progress_service, progress_worker;"),
    (STARTUP, "GRANT USAGE ON SCHEMA progress TO progress_service;"),
    (STARTUP, "SET LOCAL work_mem = '64MB'; SET LOCAL timezone = 'UTC';"),
    (STARTUP, "SELECT pg_advisory_xact_lock(1, 2);"),
    (
        STARTUP,
        "CREATE FUNCTION progress.f(a int) RETURNS int LANGUAGE sql IMMUTABLE RETURN a + 1;
         CREATE FUNCTION progress.g() RETURNS void LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END;",
    ),
    (
        STARTUP,
        "CREATE FUNCTION progress.f() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
         AS $$ DECLARE n int; BEGIN SELECT count(*) INTO n FROM progress.t WHERE a = NEW.a; RETURN NEW; END $$;",
    ),
    (
        STARTUP,
        "CREATE FUNCTION progress.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
         ALTER FUNCTION progress.f() SET search_path = pg_catalog, pg_temp;",
    ),
    (
        STARTUP,
        "CREATE OR REPLACE FUNCTION progress.f() RETURNS int LANGUAGE sql SECURITY DEFINER
             SET search_path TO 'pg_catalog', 'progress', 'pg_temp' AS 'SELECT 1';
         REVOKE ALL ON FUNCTION progress.f() FROM PUBLIC; GRANT EXECUTE ON FUNCTION progress.f() TO progress_worker;",
    ),
    (STARTUP, "REVOKE ALL ON FUNCTION progress.f(int) FROM PUBLIC;"),
    (
        STARTUP,
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_class WHERE relname = 'x') THEN RAISE NOTICE 'x'; END IF; END $$;",
    ),
    (STARTUP, "DO $$ BEGIN EXECUTE 'CREATE TABLE progress.t (a int)'; END $$;"),
    (SEED, "INSERT INTO progress.verbs (iri) VALUES ('a'), ('b') ON CONFLICT DO NOTHING;"),
    (SEED, "INSERT INTO progress.verbs (iri) VALUES ('a') ON CONFLICT (iri) DO UPDATE SET name = excluded.name;"),
    (SEED, "UPDATE progress.verbs SET name = 'x' WHERE iri = 'a';"),
    (SEED, "INSERT INTO progress.verbs (iri) SELECT v FROM (VALUES ('a'), ('b')) AS x (v);"),
    (SEED, "INSERT INTO progress.verbs (iri) SELECT 'a' WHERE NOT EXISTS (SELECT FROM progress.verbs);"),
    (SEED, "INSERT INTO progress.verbs (iri) SELECT unnest(ARRAY['a', 'b']);"),
    (SEED, "MERGE INTO progress.t USING (VALUES (1)) AS s (a) ON t.a = s.a WHEN NOT MATCHED THEN INSERT VALUES (s.a);"),
    (DATA, "UPDATE progress.t SET b = 'one' WHERE a = 1;"),
    (DATA, "UPDATE progress.t SET b = 1 WHERE a IN (SELECT a FROM progress.t WHERE b IS NULL LIMIT 1000);"),
    (DATA, "DELETE FROM progress.t WHERE a IS NULL;"),
    (
        DATA,
        "INSERT INTO progress.t SELECT id FROM ledger.statements WHERE stored >= '2026-01-01' AND stored < '2026-02-01';",
    ),
    (DATA, "WITH batch AS (SELECT id FROM progress.attempts LIMIT 100) INSERT INTO progress.t SELECT id FROM batch;"),
    (DATA, "INSERT INTO progress.t SELECT id FROM progress.attempts ORDER BY id LIMIT 1000;"),
    (DATA, "CREATE TEMP TABLE scratch (a int) ON COMMIT DROP; INSERT INTO scratch VALUES (1); DELETE FROM scratch;"),
    (DOWN, "DROP TABLE IF EXISTS progress.t; REVOKE USAGE ON SCHEMA progress FROM progress_service;"),
    (DOWN, "ALTER TABLE progress.t DROP COLUMN a;"),
    (DOWN, "DELETE FROM progress.verbs WHERE introduced_in = '0.1.0';"),
];

/// As [`HARMLESS`], outside of a transaction.
pub(super) const ALONE: &[&str] = &[
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON progress.t (a);",
    "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON progress.t (a) WHERE b;",
    "REINDEX INDEX CONCURRENTLY progress.i;",
    "VACUUM (ANALYZE) progress.t;",
];
