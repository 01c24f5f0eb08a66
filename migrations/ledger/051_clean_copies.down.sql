-- progress: allow dynamic-sql because months have other names in each database
-- progress: allow definer-revoked because functions that are replaced keep who may call them
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
    END
    $$;

DROP FUNCTION IF EXISTS ledger.must_be_clean(timestamptz, bigint);
ALTER TABLE ledger.month_fills DROP COLUMN IF EXISTS erasure_stamp;
