-- progress: allow dynamic-sql because months have other names in each database
-- progress: allow definer-revoked because functions that are replaced keep who may call them
-- A month that is divided stays as it is: it is one table to whoever reads and moves it.
DROP FUNCTION IF EXISTS ledger.swap_month(timestamptz, bigint);
DROP FUNCTION IF EXISTS ledger.begin_scheme(timestamptz, text);
DROP FUNCTION IF EXISTS ledger.ensure_month(timestamptz, text);

CREATE OR REPLACE FUNCTION ledger.begin_month(moment timestamptz, parents text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET lock_timeout = '2s'
    AS $$
    DECLARE
        month_begin timestamptz := date_trunc('month', moment);
        month_end timestamptz := date_trunc('month', moment) + interval '1 month';
        given bigint;
        parent text;
        child text;
    BEGIN
        PERFORM pg_advisory_xact_lock(76301, 2);
        PERFORM ledger.can_be_filled(month_begin, begin_month.parents);
        UPDATE ledger.month_fills f SET number = DEFAULT
            WHERE f.month = month_begin::date AND f.parents = begin_month.parents RETURNING f.number INTO given;
        IF given IS NOT NULL THEN
            RETURN given;
        END IF;
        INSERT INTO ledger.month_fills (month, parents) VALUES (month_begin::date, begin_month.parents)
            RETURNING number INTO given;
        FOREACH parent IN ARRAY ARRAY['statements', 'relations'] LOOP
            child := 'filling_' || parent || '_' || to_char(month_begin, 'YYYY_MM');
            EXECUTE format('CREATE TABLE ledger.%I (LIKE ledger.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', child, parent);
            EXECUTE format('ALTER TABLE ledger.%I ADD CONSTRAINT bounds CHECK (stored >= %L AND stored < %L)',
                child, month_begin, month_end);
            -- COPY is refused where rows are secured, so that comes at the end. Until then the worker alone, who sees every
            -- tenant anyway, has any right to it.
            EXECUTE format('GRANT SELECT, INSERT ON ledger.%I TO progress_worker', child);
        END LOOP;
        RETURN given;
    END
    $$;

CREATE OR REPLACE FUNCTION ledger.index_month(moment timestamptz, held bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    AS $$
    DECLARE
        parent text;
        child text;
        wanted record;
    BEGIN
        PERFORM FROM ledger.month_fills f
            WHERE f.month = date_trunc('month', moment)::date AND f.number = held FOR UPDATE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the month % is not being filled under the number %', to_char(moment, 'YYYY-MM'), held
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        FOREACH parent IN ARRAY ARRAY['statements', 'relations'] LOOP
            child := parent || '_' || to_char(moment, 'YYYY_MM');
            FOR wanted IN
                SELECT c.relname AS name, pg_get_indexdef(i.indexrelid) AS definition
                FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                WHERE i.indrelid = format('ledger.%I', parent)::regclass ORDER BY c.relname
            LOOP
                EXECUTE regexp_replace(wanted.definition, '^CREATE INDEX .* ON (ONLY )?\S+ USING ',
                    format('CREATE INDEX IF NOT EXISTS %I ON ledger.%I USING ',
                        child || substr(wanted.name, length(parent) + 1), 'filling_' || child));
            END LOOP;
            EXECUTE format('ANALYZE ledger.%I', 'filling_' || child);
        END LOOP;
    END
    $$;

CREATE OR REPLACE FUNCTION ledger.finish_month(moment timestamptz, held bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET lock_timeout = '2s'
    AS $$
    DECLARE
        month_begin timestamptz := date_trunc('month', moment);
        month_end timestamptz := date_trunc('month', moment) + interval '1 month';
        becomes text;
        parent text;
        child text;
        filled text;
    BEGIN
        PERFORM pg_advisory_xact_lock(76301, 2);
        PERFORM ledger.index_month(month_begin, held);
        DELETE FROM ledger.month_fills f WHERE f.month = month_begin::date AND f.number = held RETURNING f.parents INTO becomes;
        PERFORM ledger.can_be_filled(month_begin, becomes);
        FOREACH parent IN ARRAY ARRAY['statements', 'relations'] LOOP
            child := parent || '_' || to_char(month_begin, 'YYYY_MM');
            filled := 'filling_' || child;
            EXECUTE format('REVOKE ALL ON ledger.%I FROM progress_worker', filled);
            EXECUTE format('ALTER TABLE ledger.%I ENABLE ROW LEVEL SECURITY', filled);
            EXECUTE format('ALTER TABLE ledger.%I FORCE ROW LEVEL SECURITY', filled);
            PERFORM ledger.keep_from_truncation(filled);
            EXECUTE format('ALTER TABLE ledger.%I RENAME TO %I', filled, child);
            EXECUTE format('ALTER TABLE ledger.%I ATTACH PARTITION ledger.%I FOR VALUES FROM (%L) TO (%L)',
                CASE becomes WHEN 'hot' THEN parent ELSE 'detached_' || parent END, child, month_begin, month_end);
        END LOOP;
        IF becomes = 'hot' THEN
            INSERT INTO ledger.partitions (month, lower_bound, upper_bound)
                VALUES (month_begin::date, month_begin, month_end);
        ELSE
            UPDATE ledger.partitions p SET state = 'archived' WHERE p.month = month_begin::date;
        END IF;
    END
    $$;

DROP FUNCTION IF EXISTS ledger.secure_month(text, timestamptz);
DROP FUNCTION IF EXISTS ledger.make_month(text, timestamptz, text);
DROP TABLE IF EXISTS ledger.month_divisions;
ALTER TABLE ledger.partitions DROP COLUMN IF EXISTS scheme;
