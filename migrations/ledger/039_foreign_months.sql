-- Description: a dropped month comes back as a foreign table over its segments, and goes again
-- Breaking: no
-- Manual: no
-- Lock: none
-- progress: allow dynamic-sql because months have other names in each database, and a server's options are literals
-- progress: allow partition-change because a month that comes back as a foreign table is what it attaches
-- progress: allow outside-world because a foreign server is what it is for; it is made when a person attaches a month, not here

-- What stands in the way of foreign tables; NULL where nothing does. The words are what a superuser types.
CREATE FUNCTION ledger.lacks_for_foreign_months() RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
    BEGIN
        IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'postgres_fdw') THEN
            RETURN format('CREATE EXTENSION postgres_fdw; GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO %I;', current_user);
        END IF;
        IF NOT has_foreign_data_wrapper_privilege('postgres_fdw', 'USAGE') THEN
            RETURN format('GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO %I;', current_user);
        END IF;
        RETURN NULL;
    END
    $$;

-- The foreign server and its login, as they are to be from now on.
CREATE FUNCTION ledger.name_gateway(host text, port text, login text, password text, sslmode text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
    BEGIN
        IF EXISTS (SELECT FROM pg_foreign_server WHERE srvname = 'progress_archive') THEN
            EXECUTE format('ALTER SERVER progress_archive OPTIONS (SET host %L, SET port %L, SET sslmode %L)', host, port, sslmode);
            EXECUTE format('ALTER USER MAPPING FOR PUBLIC SERVER progress_archive OPTIONS (SET user %L, SET password %L)',
                login, password);
        ELSE
            -- Nothing is written through it; a thousand rows a time would be ten times as slow; and it gives no estimates.
            EXECUTE format('CREATE SERVER progress_archive FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host %L, port %L, '
                'dbname ''archive'', sslmode %L, connect_timeout ''5'', updatable ''false'', truncatable ''false'', '
                'fetch_size ''10000'', use_remote_estimate ''false'')', host, port, sslmode);
            EXECUTE format('CREATE USER MAPPING FOR PUBLIC SERVER progress_archive OPTIONS (user %L, password %L)',
                login, password);
        END IF;
    END
    $$;

-- From dropped: a foreign table answers for it in people's queries. What it gives has to be what was archived: PostgreSQL itself
-- believes that every row of a foreign table lies within its bounds. Answers the state that the month is in then, or NULL.
CREATE FUNCTION ledger.attach_foreign_month(moment timestamptz, host text, port text, login text, password text, sslmode text)
    RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET datestyle = 'ISO'
    SET lock_timeout = '2s'
    AS $$
    DECLARE
        it ledger.partitions;
        part text;
        wanted record;
        shown record;
    BEGIN
        PERFORM pg_advisory_xact_lock(76301, 2);
        UPDATE ledger.partitions p SET state = 'attached'
            WHERE p.month = date_trunc('month', moment)::date AND p.state = 'dropped' RETURNING p.* INTO it;
        IF NOT FOUND THEN
            RETURN (SELECT p.state FROM ledger.partitions p WHERE p.month = date_trunc('month', moment)::date);
        END IF;
        part := 'archived_statements_' || to_char(it.month, 'YYYY_MM');
        PERFORM ledger.name_gateway(host, port, login, password, sslmode);
        EXECUTE format('CREATE FOREIGN TABLE ledger.%I (tenant_id uuid NOT NULL, id uuid NOT NULL, stored timestamptz NOT NULL, '
            'occurred timestamptz, verb_key uuid NOT NULL, agent_key uuid, activity_key uuid, registration_key uuid, '
            'refers_to uuid, voiding boolean NOT NULL, converts boolean NOT NULL, payload ledger.archived_text NOT NULL) '
            'SERVER progress_archive OPTIONS (schema_name ''archive'', table_name %L)',
            part, 'statements_' || to_char(it.month, 'YYYY_MM'));
        SELECT coalesce(sum(g.rows), 0)::bigint AS rows, min(g.first_stored) AS first, max(g.last_stored) AS last INTO wanted
            FROM ledger.segments g WHERE g.month = it.month AND g.state = 'published';
        EXECUTE format('SELECT count(*) AS rows, min(stored) AS first, max(stored) AS last FROM ledger.%I', part) INTO shown;
        IF shown IS DISTINCT FROM wanted THEN
            RAISE EXCEPTION 'the gateway gives % statements from % to %, and % from % to % are archived: nothing is attached',
                shown.rows, shown.first, shown.last, wanted.rows, wanted.first, wanted.last
                USING ERRCODE = 'data_corrupted';
        END IF;
        IF shown.first < it.lower_bound OR shown.last >= it.upper_bound THEN
            RAISE EXCEPTION 'the gateway gives statements from % to %, and the month reaches from % to %: nothing is attached',
                shown.first, shown.last, it.lower_bound, it.upper_bound USING ERRCODE = 'data_corrupted';
        END IF;
        EXECUTE format('ALTER TABLE ledger.archived_statements ATTACH PARTITION ledger.%I FOR VALUES FROM (%L) TO (%L)',
            part, it.lower_bound, it.upper_bound);
        RETURN 'attached';
    END
    $$;

-- From attached: only its segments answer for it. With the last foreign table its server goes.
CREATE FUNCTION ledger.detach_foreign_month(moment timestamptz) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET lock_timeout = '2s'
    AS $$
    DECLARE
        it ledger.partitions;
        part text;
    BEGIN
        PERFORM pg_advisory_xact_lock(76301, 2);
        UPDATE ledger.partitions p SET state = 'dropped'
            WHERE p.month = date_trunc('month', moment)::date AND p.state = 'attached' RETURNING p.* INTO it;
        IF NOT FOUND THEN
            RETURN (SELECT p.state FROM ledger.partitions p WHERE p.month = date_trunc('month', moment)::date);
        END IF;
        part := 'archived_statements_' || to_char(it.month, 'YYYY_MM');
        EXECUTE format('ALTER TABLE ledger.archived_statements DETACH PARTITION ledger.%I', part);
        EXECUTE format('DROP FOREIGN TABLE ledger.%I', part);
        IF NOT EXISTS (SELECT FROM pg_foreign_table t JOIN pg_foreign_server s ON s.oid = t.ftserver WHERE s.srvname = 'progress_archive') THEN
            EXECUTE 'DROP USER MAPPING IF EXISTS FOR PUBLIC SERVER progress_archive';
            EXECUTE 'DROP SERVER IF EXISTS progress_archive';
        END IF;
        RETURN 'dropped';
    END
    $$;

REVOKE ALL ON FUNCTION ledger.lacks_for_foreign_months(), ledger.name_gateway(text, text, text, text, text),
    ledger.attach_foreign_month(timestamptz, text, text, text, text, text), ledger.detach_foreign_month(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.lacks_for_foreign_months(),
    ledger.attach_foreign_month(timestamptz, text, text, text, text, text), ledger.detach_foreign_month(timestamptz)
    TO progress_worker;
