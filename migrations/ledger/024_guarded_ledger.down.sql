-- progress: allow dynamic-sql because months have other names in each database
-- progress: allow function-search-path because these are the functions as the release before had them
-- progress: allow definer-revoked because functions that are replaced keep who may call them
DROP TABLE IF EXISTS ledger.links_due;

DO $$
DECLARE
    kept pg_catalog.regclass;
BEGIN
    FOR kept IN
        SELECT t.tgrelid FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
        WHERE t.tgname = 'is_not_truncated' AND c.relnamespace = 'ledger'::pg_catalog.regnamespace
    LOOP
        EXECUTE pg_catalog.format('DROP TRIGGER is_not_truncated ON %s', kept);
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION ledger.ensure_month(moment timestamptz) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog
    SET timezone = 'UTC'
    SET lock_timeout = '2s'
    AS $$
    DECLARE
        month_begin timestamptz := date_trunc('month', moment);
        month_end timestamptz := date_trunc('month', moment) + interval '1 month';
        parent text;
        child text;
    BEGIN
        PERFORM pg_advisory_xact_lock(76301, 2);
        IF EXISTS (SELECT FROM ledger.partitions p WHERE p.month = month_begin::date) THEN
            RETURN false;
        END IF;
        FOREACH parent IN ARRAY ARRAY['statements', 'relations'] LOOP
            child := parent || '_' || to_char(month_begin, 'YYYY_MM');
            EXECUTE format('CREATE TABLE ledger.%I (LIKE ledger.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', child, parent);
            EXECUTE format('ALTER TABLE ledger.%I ADD CONSTRAINT bounds CHECK (stored >= %L AND stored < %L)',
                child, month_begin, month_end);
            -- Nobody is granted the child: reading it directly would pass by the parent's policy. These hold if someone ever is.
            EXECUTE format('ALTER TABLE ledger.%I ENABLE ROW LEVEL SECURITY', child);
            EXECUTE format('ALTER TABLE ledger.%I FORCE ROW LEVEL SECURITY', child);
            EXECUTE format('ALTER TABLE ledger.%I ATTACH PARTITION ledger.%I FOR VALUES FROM (%L) TO (%L)',
                parent, child, month_begin, month_end);
        END LOOP;
        INSERT INTO ledger.partitions (month, lower_bound, upper_bound)
            VALUES (month_begin::date, month_begin, month_end);
        RETURN true;
    END
    $$;
DROP FUNCTION IF EXISTS ledger.keep_from_truncation(text);

CREATE OR REPLACE FUNCTION ledger.moment(micros bigint) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT 'epoch'::timestamptz + micros * interval '1 microsecond' $$;

ALTER FUNCTION ledger.link(uuid, uuid[]) SET search_path = pg_catalog;
-- The file that brings `settled` makes these two with the safer path, which then is what was there before.
DO $$
BEGIN
    IF pg_catalog.to_regprocedure('ledger.settled(pg_catalog.int8)') IS NULL THEN
        ALTER FUNCTION ledger.safe_bound() SET search_path = pg_catalog;
        ALTER FUNCTION ledger.reserve(bigint) SET search_path = pg_catalog;
    END IF;
END
$$;

GRANT EXECUTE ON FUNCTION ledger.moment(bigint), ledger.link(uuid, uuid[]) TO PUBLIC;
REVOKE EXECUTE ON FUNCTION ledger.moment(bigint) FROM progress_service, progress_worker;
