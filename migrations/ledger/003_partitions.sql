-- Description: the months of the ledger as rows with a state, and the function that makes a month
-- Breaking: no
-- Manual: no
-- Lock: none

CREATE TABLE ledger.partitions (
    month date PRIMARY KEY CHECK (month = date_trunc('month', month)::date),
    lower_bound timestamptz NOT NULL,
    upper_bound timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'open'
        CHECK (state IN ('open', 'sealed', 'detached', 'archived', 'attached', 'dropped', 'marked', 'removed')),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (lower_bound < upper_bound)
);
GRANT SELECT ON ledger.partitions TO progress_service, progress_worker;

-- Makes the month that holds `moment` if it is not there, and answers whether it made one. Attaching a finished
-- table takes a lock that lets reads and writes of the parent go on; CREATE TABLE … PARTITION OF would stop them.
CREATE FUNCTION ledger.ensure_month(moment timestamptz) RETURNS boolean
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
REVOKE ALL ON FUNCTION ledger.ensure_month(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.ensure_month(timestamptz) TO progress_service, progress_worker;
