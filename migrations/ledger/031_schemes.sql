-- Description: months that are divided into weeks, days or groups of tenants, made so beforehand or afterwards
-- Breaking: no
-- Manual: no
-- Lock: exclusive-brief
-- progress: allow dynamic-sql because months have other names in each database, made by format() from a date and a number alone

-- How a month is divided: not at all, by weeks, by days, or by the hash of the tenant into so many. The month itself stays one
-- table to whoever attaches and detaches it.
ALTER TABLE ledger.partitions ADD COLUMN scheme text NOT NULL DEFAULT 'monthly';
ALTER TABLE ledger.partitions ADD CONSTRAINT a_scheme
    CHECK (scheme ~ '^(monthly|weekly|daily|tenants-[1-9][0-9]{0,2})$') NOT VALID;

-- What is being filled, where it takes the place of a month that is there.
CREATE TABLE ledger.month_divisions (
    month date PRIMARY KEY,
    -- That of the fill. One that no fill has any more is left over, and means nothing.
    number bigint NOT NULL,
    scheme text NOT NULL,
    -- The state that the month has to have to the end.
    replaces text NOT NULL,
    -- Everything stored before is copied.
    copied_until timestamptz NOT NULL
);
GRANT SELECT, UPDATE (copied_until) ON ledger.month_divisions TO progress_worker;

-- Makes the tables of a month and divides them; `prefix` stands before their names. Nobody is granted the parts.
CREATE FUNCTION ledger.make_month(prefix text, month_begin timestamptz, scheme text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    AS $$
    DECLARE
        month_end timestamptz := month_begin + interval '1 month';
        parent text;
        plain text;
        part_begin timestamptz;
        part_end timestamptz;
        parts integer := CASE WHEN scheme LIKE 'tenants-%' THEN split_part(scheme, '-', 2)::integer ELSE 0 END;
    BEGIN
        FOREACH parent IN ARRAY ARRAY['statements', 'relations'] LOOP
            plain := parent || '_' || to_char(month_begin, 'YYYY_MM');
            EXECUTE format('CREATE TABLE ledger.%I (LIKE ledger.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS) %s', prefix || plain, parent,
                CASE WHEN parts > 0 THEN 'PARTITION BY HASH (tenant_id)' WHEN scheme = 'monthly' THEN '' ELSE 'PARTITION BY RANGE (stored)' END);
            EXECUTE format('ALTER TABLE ledger.%I ADD CONSTRAINT bounds CHECK (stored >= %L AND stored < %L)',
                prefix || plain, month_begin, month_end);
            FOR part IN 0 .. parts - 1 LOOP
                EXECUTE format('CREATE TABLE ledger.%I PARTITION OF ledger.%I FOR VALUES WITH (MODULUS %s, REMAINDER %s)',
                    plain || '_t' || parts || '_' || part, prefix || plain, parts, part);
            END LOOP;
            part_begin := month_begin;
            WHILE scheme IN ('weekly', 'daily') AND part_begin < month_end LOOP
                part_end := least(month_end, CASE scheme WHEN 'daily' THEN part_begin + interval '1 day'
                                                         ELSE date_trunc('week', part_begin) + interval '7 days' END);
                EXECUTE format('CREATE TABLE ledger.%I PARTITION OF ledger.%I FOR VALUES FROM (%L) TO (%L)',
                    plain || to_char(part_begin, CASE scheme WHEN 'daily' THEN '_DD' ELSE '_"w"IW' END), prefix || plain,
                    part_begin, part_end);
                part_begin := part_end;
            END LOOP;
        END LOOP;
    END
    $$;

-- Secures the tables of a month and all of its parts: these hold if anybody is ever granted one of them.
CREATE FUNCTION ledger.secure_month(prefix text, month_begin timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    AS $$
    DECLARE
        part text;
    BEGIN
        FOR part IN
            SELECT c.relname FROM unnest(ARRAY['statements_', 'relations_']) AS parent
            CROSS JOIN LATERAL pg_partition_tree(format('ledger.%I', prefix || parent || to_char(month_begin, 'YYYY_MM'))::regclass) t
            JOIN pg_class c ON c.oid = t.relid
            UNION
            SELECT prefix || parent || to_char(month_begin, 'YYYY_MM') FROM unnest(ARRAY['statements_', 'relations_']) AS parent
        LOOP
            EXECUTE format('REVOKE ALL ON ledger.%I FROM progress_worker', part);
            EXECUTE format('ALTER TABLE ledger.%I ENABLE ROW LEVEL SECURITY', part);
            EXECUTE format('ALTER TABLE ledger.%I FORCE ROW LEVEL SECURITY', part);
            PERFORM ledger.keep_from_truncation(part);
        END LOOP;
    END
    $$;

-- As `ensure_month(moment)`, but divided.
CREATE FUNCTION ledger.ensure_month(moment timestamptz, scheme text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET lock_timeout = '2s'
    AS $$
    DECLARE
        month_begin timestamptz := date_trunc('month', moment);
        parent text;
    BEGIN
        PERFORM pg_advisory_xact_lock(76301, 2);
        IF EXISTS (SELECT FROM ledger.partitions p WHERE p.month = month_begin::date) THEN
            RETURN false;
        END IF;
        INSERT INTO ledger.partitions (month, lower_bound, upper_bound, scheme)
            VALUES (month_begin::date, month_begin, month_begin + interval '1 month', ensure_month.scheme);
        PERFORM ledger.make_month('', month_begin, ensure_month.scheme);
        PERFORM ledger.secure_month('', month_begin);
        FOREACH parent IN ARRAY ARRAY['statements', 'relations'] LOOP
            EXECUTE format('ALTER TABLE ledger.%I ATTACH PARTITION ledger.%I FOR VALUES FROM (%L) TO (%L)', parent,
                parent || '_' || to_char(month_begin, 'YYYY_MM'), month_begin, month_begin + interval '1 month');
        END LOOP;
        RETURN true;
    END
    $$;

-- As before, but an index is known by what it is and not by its name, which the month's own may have.
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

-- As before, but what takes the place of a month that is there is no beginning of one that is not.
CREATE OR REPLACE FUNCTION ledger.begin_month(moment timestamptz, parents text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET lock_timeout = '2s'
    AS $$
    DECLARE
        month_begin timestamptz := date_trunc('month', moment);
        given bigint;
        parent text;
    BEGIN
        PERFORM pg_advisory_xact_lock(76301, 2);
        PERFORM ledger.can_be_filled(month_begin, begin_month.parents);
        IF EXISTS (SELECT FROM ledger.month_fills f JOIN ledger.month_divisions d USING (number) WHERE f.month = month_begin::date) THEN
            RAISE EXCEPTION 'the month % was being divided anew: abort that first', to_char(moment, 'YYYY-MM')
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        UPDATE ledger.month_fills f SET number = DEFAULT
            WHERE f.month = month_begin::date AND f.parents = begin_month.parents RETURNING f.number INTO given;
        IF given IS NOT NULL THEN
            RETURN given;
        END IF;
        INSERT INTO ledger.month_fills (month, parents) VALUES (month_begin::date, begin_month.parents)
            RETURNING number INTO given;
        PERFORM ledger.make_month('filling_', month_begin, 'monthly');
        FOREACH parent IN ARRAY ARRAY['statements', 'relations'] LOOP
            EXECUTE format('GRANT SELECT, INSERT ON ledger.%I TO progress_worker', 'filling_' || parent || to_char(month_begin, '_YYYY_MM'));
        END LOOP;
        RETURN given;
    END
    $$;

-- As before; a month that is restored is not divided.
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
        plain text;
    BEGIN
        PERFORM pg_advisory_xact_lock(76301, 2);
        PERFORM ledger.index_month(month_begin, held);
        DELETE FROM ledger.month_fills f WHERE f.month = month_begin::date AND f.number = held RETURNING f.parents INTO becomes;
        PERFORM ledger.can_be_filled(month_begin, becomes);
        PERFORM ledger.secure_month('filling_', month_begin);
        FOREACH parent IN ARRAY ARRAY['statements', 'relations'] LOOP
            plain := parent || '_' || to_char(month_begin, 'YYYY_MM');
            EXECUTE format('ALTER TABLE ledger.%I RENAME TO %I', 'filling_' || plain, plain);
            EXECUTE format('ALTER TABLE ledger.%I ATTACH PARTITION ledger.%I FOR VALUES FROM (%L) TO (%L)',
                CASE becomes WHEN 'hot' THEN parent ELSE 'detached_' || parent END, plain, month_begin, month_end);
        END LOOP;
        IF becomes = 'hot' THEN
            INSERT INTO ledger.partitions (month, lower_bound, upper_bound)
                VALUES (month_begin::date, month_begin, month_end);
        ELSE
            UPDATE ledger.partitions p SET state = 'archived', scheme = 'monthly' WHERE p.month = month_begin::date;
        END IF;
    END
    $$;

-- Begins to divide a month anew that nobody writes to any more, or goes on with it: answers the number under which it is copied
-- and put in place.
CREATE FUNCTION ledger.begin_scheme(moment timestamptz, scheme text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET lock_timeout = '2s'
    AS $$
    DECLARE
        month_begin timestamptz := date_trunc('month', moment);
        named text := to_char(moment, 'YYYY-MM');
        it ledger.partitions;
        given bigint;
        parent text;
    BEGIN
        PERFORM pg_advisory_xact_lock(76301, 2);
        SELECT p.* INTO it FROM ledger.partitions p WHERE p.month = month_begin::date;
        IF it.state IS NULL OR it.state NOT IN ('sealed', 'detached', 'archived') THEN
            RAISE EXCEPTION 'the month % is %: one is divided anew that is sealed, detached, or archived with its table here', named,
                coalesce(it.state, 'unknown') USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        IF it.scheme = begin_scheme.scheme THEN
            RAISE EXCEPTION 'the month % is % already', named, it.scheme USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        UPDATE ledger.month_fills f SET number = DEFAULT FROM ledger.month_divisions d
            WHERE f.month = it.month AND d.number = f.number AND d.replaces = it.state AND d.scheme = begin_scheme.scheme
            RETURNING f.number INTO given;
        IF given IS NOT NULL THEN
            UPDATE ledger.month_divisions d SET number = given WHERE d.month = it.month;
            RETURN given;
        END IF;
        IF EXISTS (SELECT FROM ledger.month_fills f WHERE f.month = it.month) THEN
            RAISE EXCEPTION 'the month % is being filled or divided in another way: abort that first', named
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        INSERT INTO ledger.month_fills (month, parents)
            VALUES (it.month, CASE it.state WHEN 'sealed' THEN 'hot' ELSE 'detached' END) RETURNING number INTO given;
        DELETE FROM ledger.month_divisions d WHERE d.month = it.month;
        INSERT INTO ledger.month_divisions (month, number, scheme, replaces, copied_until)
            VALUES (it.month, given, begin_scheme.scheme, it.state, month_begin);
        PERFORM ledger.make_month('filling_', month_begin, begin_scheme.scheme);
        FOREACH parent IN ARRAY ARRAY['statements', 'relations'] LOOP
            EXECUTE format('GRANT SELECT, INSERT ON ledger.%I TO progress_worker', 'filling_' || parent || to_char(month_begin, '_YYYY_MM'));
        END LOOP;
        RETURN given;
    END
    $$;

-- Puts the copy in the place of the month in one moment. The caller has shown that they are the same.
CREATE FUNCTION ledger.swap_month(moment timestamptz, held bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET lock_timeout = '25ms'
    AS $$
    DECLARE
        month_begin timestamptz := date_trunc('month', moment);
        month_end timestamptz := date_trunc('month', moment) + interval '1 month';
        it ledger.month_divisions;
        becomes text;
        parent text;
        plain text;
        under text;
    BEGIN
        PERFORM pg_advisory_xact_lock(76301, 2);
        PERFORM ledger.index_month(month_begin, held);
        DELETE FROM ledger.month_fills f WHERE f.month = month_begin::date AND f.number = held RETURNING f.parents INTO becomes;
        DELETE FROM ledger.month_divisions d WHERE d.month = month_begin::date AND d.number = held RETURNING d.* INTO it;
        IF it.replaces IS NULL OR it.copied_until < month_end THEN
            RAISE EXCEPTION 'the month % is not copied to its end', to_char(moment, 'YYYY-MM')
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        UPDATE ledger.partitions p SET scheme = it.scheme WHERE p.month = it.month AND p.state = it.replaces;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the month % is not % any more, as it was when this began', to_char(moment, 'YYYY-MM'), it.replaces
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        PERFORM ledger.secure_month('filling_', month_begin);
        FOREACH parent IN ARRAY ARRAY['statements', 'relations'] LOOP
            plain := parent || '_' || to_char(month_begin, 'YYYY_MM');
            under := CASE becomes WHEN 'hot' THEN parent ELSE 'detached_' || parent END;
            EXECUTE format('ALTER TABLE ledger.%I DETACH PARTITION ledger.%I', under, plain);
            EXECUTE format('DROP TABLE ledger.%I', plain);
            EXECUTE format('ALTER TABLE ledger.%I RENAME TO %I', 'filling_' || plain, plain);
            EXECUTE format('ALTER TABLE ledger.%I ATTACH PARTITION ledger.%I FOR VALUES FROM (%L) TO (%L)',
                under, plain, month_begin, month_end);
        END LOOP;
    END
    $$;

REVOKE ALL ON FUNCTION ledger.make_month(text, timestamptz, text), ledger.secure_month(text, timestamptz),
    ledger.ensure_month(timestamptz, text), ledger.begin_month(timestamptz, text), ledger.index_month(timestamptz, bigint),
    ledger.finish_month(timestamptz, bigint), ledger.begin_scheme(timestamptz, text), ledger.swap_month(timestamptz, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.ensure_month(timestamptz, text), ledger.begin_month(timestamptz, text),
    ledger.index_month(timestamptz, bigint), ledger.finish_month(timestamptz, bigint), ledger.begin_scheme(timestamptz, text),
    ledger.swap_month(timestamptz, bigint) TO progress_worker;
GRANT EXECUTE ON FUNCTION ledger.ensure_month(timestamptz, text) TO progress_service;
