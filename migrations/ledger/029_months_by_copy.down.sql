-- progress: allow dynamic-sql because months have other names in each database
DO $$
DECLARE
    unfinished text;
BEGIN
    FOR unfinished IN
        SELECT c.relname FROM pg_catalog.pg_class c
        WHERE c.relnamespace = 'ledger'::pg_catalog.regnamespace AND c.relkind = 'r' AND c.relname LIKE 'filling\_%'
    LOOP
        EXECUTE pg_catalog.format('DROP TABLE ledger.%I', unfinished);
    END LOOP;
END
$$;
DROP FUNCTION IF EXISTS ledger.abandon_month(timestamptz, bigint);
DROP FUNCTION IF EXISTS ledger.finish_month(timestamptz, bigint);
DROP FUNCTION IF EXISTS ledger.index_month(timestamptz, bigint);
DROP FUNCTION IF EXISTS ledger.begin_month(timestamptz, text);
DROP FUNCTION IF EXISTS ledger.can_be_filled(timestamptz, text);
DROP TABLE IF EXISTS ledger.month_fills;
