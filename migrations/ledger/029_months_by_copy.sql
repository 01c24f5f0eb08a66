-- Description: months that are filled whole: copied into tables of their own, which become partitions when they are finished
-- Breaking: no
-- Manual: no
-- Lock: none
-- progress: allow dynamic-sql because months have other names in each database, made by format() from a date alone

-- The months that are being filled. Their tables are `filling_statements_…` and `filling_relations_…`, which nobody queries.
CREATE TABLE ledger.month_fills (
    month date PRIMARY KEY CHECK (month = date_trunc('month', month)::date),
    -- Another one with each beginning: whoever began before can neither copy nor finish.
    number bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    -- Which tables it becomes a partition of: 'hot' for `statements` and `relations`, 'detached' for those of months that are away.
    parents text NOT NULL CHECK (parents IN ('hot', 'detached')),
    -- What has been copied, counted in the transactions that copied it.
    statements bigint NOT NULL DEFAULT 0,
    relations bigint NOT NULL DEFAULT 0,
    began_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT SELECT, UPDATE (statements, relations) ON ledger.month_fills TO progress_worker;

-- Fails where a month cannot be filled now: only one that is over, and that is nowhere (or, for 'detached', whose table is gone).
CREATE FUNCTION ledger.can_be_filled(month_begin timestamptz, parents text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    AS $$
    DECLARE
        found_state text := (SELECT p.state FROM ledger.partitions p WHERE p.month = month_begin::date);
        named text := to_char(month_begin, 'YYYY-MM');
    BEGIN
        IF parents NOT IN ('hot', 'detached') THEN
            RAISE EXCEPTION 'a month becomes hot or detached, not %', parents USING ERRCODE = 'invalid_parameter_value';
        END IF;
        IF month_begin + interval '1 month' > clock_timestamp() THEN
            RAISE EXCEPTION 'the month % is not over: statements may still be stored in it', named
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        IF parents = 'hot' AND found_state IS NOT NULL THEN
            RAISE EXCEPTION 'the month % is there already (%)', named, found_state
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        IF parents = 'detached' AND found_state IS DISTINCT FROM 'dropped' THEN
            RAISE EXCEPTION 'the month % is %, and only one whose table was dropped is filled again', named,
                coalesce(found_state, 'unknown') USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
    END
    $$;

-- Begins to fill the month that holds `moment`, and answers the number under which it is copied and finished. Where somebody
-- has begun before, their tables and what is in them are taken over, and their number is worth nothing any more.
CREATE FUNCTION ledger.begin_month(moment timestamptz, parents text) RETURNS bigint
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

-- Gives what has been copied the indexes that its parents have. May take long, keeps nobody waiting, and may be repeated.
CREATE FUNCTION ledger.index_month(moment timestamptz, held bigint) RETURNS void
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

-- Makes a partition of what has been copied: secured like every other, under the parents it was begun for. The transaction is a
-- short one where `index_month` has been called before.
CREATE FUNCTION ledger.finish_month(moment timestamptz, held bigint) RETURNS void
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

-- Removes what has been copied of a month that is not finished.
CREATE FUNCTION ledger.abandon_month(moment timestamptz, held bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET lock_timeout = '2s'
    AS $$
    DECLARE
        parent text;
    BEGIN
        PERFORM pg_advisory_xact_lock(76301, 2);
        DELETE FROM ledger.month_fills f WHERE f.month = date_trunc('month', moment)::date AND f.number = held;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the month % is not being filled under the number %', to_char(moment, 'YYYY-MM'), held
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        FOREACH parent IN ARRAY ARRAY['statements', 'relations'] LOOP
            EXECUTE format('DROP TABLE ledger.%I', 'filling_' || parent || '_' || to_char(moment, 'YYYY_MM'));
        END LOOP;
    END
    $$;

REVOKE ALL ON FUNCTION ledger.can_be_filled(timestamptz, text), ledger.begin_month(timestamptz, text),
    ledger.index_month(timestamptz, bigint), ledger.finish_month(timestamptz, bigint),
    ledger.abandon_month(timestamptz, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.begin_month(timestamptz, text), ledger.index_month(timestamptz, bigint),
    ledger.finish_month(timestamptz, bigint), ledger.abandon_month(timestamptz, bigint) TO progress_worker;
