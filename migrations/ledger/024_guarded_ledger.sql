-- Description: functions that hold against temporary objects, tables and months that cannot be emptied, and references to look at again
-- Breaking: no
-- Manual: no
-- Lock: share
-- progress: allow dynamic-sql because months have other names in each database, and each gets the same trigger

-- The search path: see platform/020.
ALTER FUNCTION ledger.reserve(bigint) SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION ledger.safe_bound() SET search_path = pg_catalog, pg_temp;
-- Services of an earlier release still call it; this one follows references itself, in bounded steps.
ALTER FUNCTION ledger.link(uuid, uuid[]) SET search_path = pg_catalog, pg_temp;

CREATE OR REPLACE FUNCTION ledger.moment(micros bigint) RETURNS pg_catalog.timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 'epoch'::pg_catalog.timestamptz + micros * '1 microsecond'::pg_catalog.interval;

-- As before, but a month can no more be emptied than the whole: a trigger of the parent does not hear of TRUNCATE on
-- one of its partitions.
CREATE OR REPLACE FUNCTION ledger.ensure_month(moment timestamptz) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
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
            PERFORM ledger.keep_from_truncation(child);
            EXECUTE format('ALTER TABLE ledger.%I ATTACH PARTITION ledger.%I FOR VALUES FROM (%L) TO (%L)',
                parent, child, month_begin, month_end);
        END LOOP;
        INSERT INTO ledger.partitions (month, lower_bound, upper_bound)
            VALUES (month_begin::date, month_begin, month_end);
        RETURN true;
    END
    $$;

-- Makes a table of the ledger refuse TRUNCATE, in a session in replica mode as well.
CREATE FUNCTION ledger.keep_from_truncation(kept text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
    BEGIN
        EXECUTE format('CREATE TRIGGER is_not_truncated BEFORE TRUNCATE ON ledger.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_change()', kept);
        EXECUTE format('ALTER TABLE ledger.%I ENABLE ALWAYS TRIGGER is_not_truncated', kept);
    END
    $$;

REVOKE ALL ON FUNCTION ledger.reserve(bigint), ledger.safe_bound(), ledger.moment(bigint), ledger.link(uuid, uuid[]),
    ledger.ensure_month(timestamptz), ledger.keep_from_truncation(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.moment(bigint) TO progress_service, progress_worker;

-- In the order in which writers take them, so that neither waits for the other in a circle.
DO $$
DECLARE
    kept text;
    month_of_it text;
BEGIN
    FOREACH kept IN ARRAY ARRAY['agents', 'activities', 'verbs_seen', 'attachments', 'attachment_pieces', 'statement_ids',
                                'statements', 'relations', 'refs', 'reaches', 'documents', 'partitions'] LOOP
        -- The statements as a whole have such a trigger from the start.
        IF kept <> 'statements' THEN
            PERFORM ledger.keep_from_truncation(kept);
        END IF;
        FOR month_of_it IN
            SELECT c.relname FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = pg_catalog.format('ledger.%I', kept)::pg_catalog.regclass AND c.relkind = 'r'
              AND pg_catalog.pg_has_role(current_user, c.relowner, 'USAGE')
            ORDER BY c.relname
        LOOP
            PERFORM ledger.keep_from_truncation(month_of_it);
        END LOOP;
    END LOOP;
END
$$;

-- Statements of which something new is known to be reached: those who refer to one of them have to be looked at again. Each
-- such discovery is a row of its own, so that nobody who adds one waits for the worker, which takes them in their order.
CREATE TABLE ledger.links_due (
    tenant_id uuid NOT NULL,
    number bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    statement_id uuid NOT NULL,
    -- The first referrer that has not been looked at.
    next_referrer uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    PRIMARY KEY (tenant_id, number)
);
ALTER TABLE ledger.links_due ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.links_due FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON ledger.links_due FOR INSERT TO progress_service
    WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON ledger.links_due TO progress_worker USING (true) WITH CHECK (true);
GRANT INSERT ON ledger.links_due TO progress_service;
GRANT SELECT, INSERT, UPDATE (next_referrer), DELETE ON ledger.links_due TO progress_worker;
