//! A data folder from before the superuser and the owner were two: what the superuser owns in the service's database is
//! given to the owner, functions that run with their owner's rights among it.
//!
//! It runs at every start and in one transaction, and finds nothing to do but after such a release was here.

use tokio_postgres::Client;

/// Gives what `superuser` owns in the database of `client` to `owner`, but for the system's own and for extensions.
pub(super) async fn run(client: &Client, superuser: &str, owner: &str) -> Result<(), tokio_postgres::Error> {
    let with = |template: &str| template.replace(":superuser", superuser).replace(":owner", owner);
    client.batch_execute(&with(OWNERSHIP)).await
}

/// What an extension brought stays with it, and what belongs to a table (its row type, its indexes, the sequence of a
/// column) follows it. A policy for the former owner is one for the present one.
const OWNERSHIP: &str = "DO $$
DECLARE
    former pg_catalog.oid := pg_catalog.to_regrole(':superuser')::pg_catalog.oid;
    command text;
BEGIN
    FOR command IN
        WITH ours AS (
            SELECT n.oid, n.nspname, n.nspowner FROM pg_catalog.pg_namespace n
            WHERE NOT pg_catalog.starts_with(n.nspname, 'pg_') AND n.nspname <> 'information_schema'
        ), apart AS (
            SELECT d.classid, d.objid FROM pg_catalog.pg_depend d
            WHERE d.objsubid = 0 AND (d.deptype IN ('e', 'i') OR d.deptype = 'a' AND d.refobjsubid > 0
                AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = d.classid)
        ), found AS (
            SELECT 0 AS place, pg_catalog.format('SCHEMA %I', o.nspname) AS what,
                   'pg_catalog.pg_namespace'::pg_catalog.regclass AS classid, o.oid
            FROM ours o WHERE o.nspowner = former
            UNION ALL
            SELECT 1, pg_catalog.format('%s %I.%I',
                       CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                                      WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, o.nspname, c.relname),
                   'pg_catalog.pg_class'::pg_catalog.regclass, c.oid
            FROM pg_catalog.pg_class c JOIN ours o ON o.oid = c.relnamespace
            WHERE c.relowner = former AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
            UNION ALL
            SELECT 2, pg_catalog.format('ROUTINE %s', p.oid::pg_catalog.regprocedure),
                   'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid
            FROM pg_catalog.pg_proc p JOIN ours o ON o.oid = p.pronamespace WHERE p.proowner = former
            UNION ALL
            SELECT 3, pg_catalog.format('TYPE %I.%I', o.nspname, t.typname), 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid
            FROM pg_catalog.pg_type t JOIN ours o ON o.oid = t.typnamespace
            WHERE t.typowner = former AND t.typtype IN ('c', 'e', 'd', 'r')
            UNION ALL
            SELECT 4, pg_catalog.format('STATISTICS %I.%I', o.nspname, s.stxname),
                   'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, s.oid
            FROM pg_catalog.pg_statistic_ext s JOIN ours o ON o.oid = s.stxnamespace WHERE s.stxowner = former
        )
        SELECT pg_catalog.format('ALTER %s OWNER TO :owner', f.what) FROM found f
        WHERE NOT EXISTS (SELECT FROM apart a WHERE a.classid = f.classid AND a.objid = f.oid)
        ORDER BY f.place, f.oid
    LOOP
        EXECUTE command;
    END LOOP;
    FOR command IN
        SELECT pg_catalog.format('ALTER POLICY %I ON %I.%I TO %s', p.policyname, p.schemaname, p.tablename,
            (SELECT pg_catalog.string_agg(CASE r WHEN ':superuser' THEN ':owner' WHEN 'public' THEN 'PUBLIC'
                                          ELSE pg_catalog.quote_ident(r) END, ', ')
             FROM pg_catalog.unnest(p.roles) AS r))
        FROM pg_catalog.pg_policies p WHERE ':superuser' = ANY (p.roles)
    LOOP
        EXECUTE command;
    END LOOP;
END
$$";
