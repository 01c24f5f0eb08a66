-- Description: a copy of a month from before an erasure never takes its place
-- Breaking: no
-- Manual: no
-- Lock: exclusive-brief
-- progress: allow dynamic-sql because months have other names in each database, made by format() from a date alone
-- progress: allow definer-revoked because functions that are replaced keep who may call them

-- Up to which stamp what is being copied is clean: that of the beginning, however often somebody takes it over.
ALTER TABLE ledger.month_fills ADD COLUMN erasure_stamp bigint;
ALTER TABLE ledger.month_fills ALTER COLUMN erasure_stamp SET DEFAULT ledger.erasure_stamp();

CREATE FUNCTION ledger.must_be_clean(month_begin timestamptz, held bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    AS $$
    BEGIN
        -- Whoever ends an erasure has this lock alone: it is done before this question, or finds what this transaction brings.
        PERFORM pg_advisory_xact_lock_shared(76301, 14);
        IF EXISTS (SELECT FROM ledger.month_fills f WHERE f.month = month_begin::date AND f.number = held
                   AND ledger.was_erased_since(f.month, coalesce(f.erasure_stamp, 0))) THEN
            RAISE EXCEPTION 'somebody was erased from the month % since its copy was begun: abandon that and begin anew',
                to_char(month_begin, 'YYYY-MM') USING ERRCODE = 'PRE01';
        END IF;
    END
    $$;
REVOKE ALL ON FUNCTION ledger.must_be_clean(timestamptz, bigint) FROM PUBLIC;

-- As before, but only what is clean. Whatever lets a copy take its place calls it first; the question and its lock come last, as making
-- indexes may take long, and in the transaction in which the copy takes its place they are there already.
CREATE OR REPLACE FUNCTION ledger.index_month(moment timestamptz, held bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    AS $$
    DECLARE
        parent text;
        child text;
        wanted text;
        made boolean;
    BEGIN
        PERFORM FROM ledger.month_fills f
            WHERE f.month = date_trunc('month', moment)::date AND f.number = held FOR UPDATE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the month % is not being filled under the number %', to_char(moment, 'YYYY-MM'), held
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        FOREACH parent IN ARRAY ARRAY['statements', 'relations'] LOOP
            child := 'filling_' || parent || '_' || to_char(moment, 'YYYY_MM');
            made := false;
            FOR wanted IN
                SELECT substring(pg_get_indexdef(i.indexrelid) FROM ' USING .*$') FROM pg_index i
                WHERE i.indrelid = format('ledger.%I', parent)::regclass
                EXCEPT SELECT substring(pg_get_indexdef(i.indexrelid) FROM ' USING .*$') FROM pg_index i
                WHERE i.indrelid = format('ledger.%I', child)::regclass
                ORDER BY 1
            LOOP
                EXECUTE format('CREATE INDEX %I ON ledger.%I %s', substr(child, length('filling_') + 1) || '_' || held || '_'
                    || (SELECT count(*) + 1 FROM pg_index i WHERE i.indrelid = format('ledger.%I', child)::regclass), child, wanted);
                made := true;
            END LOOP;
            IF made THEN
                EXECUTE format('ANALYZE ledger.%I', child);
            END IF;
        END LOOP;
        PERFORM ledger.must_be_clean(date_trunc('month', moment), held);
    END
    $$;
