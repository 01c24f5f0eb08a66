-- Description: in which cell a tenant is at home, and the moves from one cell to another
-- Breaking: no
-- Manual: no
-- Lock: none
-- Previous: serves

-- Where a tenant stands that was ever moved; one without a row is at home. Each cell has its own row, and both are never at
-- home at once: who leaves is away before the other opens.
CREATE TABLE platform.residences (
    tenant_id uuid PRIMARY KEY,
    standing text NOT NULL CHECK (standing IN ('home', 'frozen', 'away', 'arriving')),
    -- The other cell, and where it answers.
    cell text NOT NULL,
    endpoint text NOT NULL,
    move_id uuid NOT NULL,
    -- Grows with each change: what was decided by an older one is void.
    turn bigint NOT NULL DEFAULT 1,
    -- Where relay and projections of the tenant stood when it was closed; while it is, their cursors point beyond all time.
    relayed timestamptz,
    projected timestamptz,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
ALTER TABLE platform.residences ENABLE ROW LEVEL SECURITY;
ALTER TABLE platform.residences FORCE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON platform.residences TO progress_worker USING (true) WITH CHECK (true);
CREATE POLICY definer_reads ON platform.residences FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE ON platform.residences TO progress_worker;

-- A move, as the cell knows it that the tenant leaves.
CREATE TABLE platform.moves (
    move_id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL,
    cell text NOT NULL,
    endpoint text NOT NULL,
    state text NOT NULL CHECK (state IN
        ('planned', 'copying', 'verified', 'frozen', 'switching', 'switched', 'returning', 'reopening', 'returned',
         'purging', 'purged', 'cancelled')),
    plan_digest text NOT NULL,
    reason text NOT NULL,
    requested_by text NOT NULL,
    -- What was copied and compared last, and when.
    proof jsonb,
    proved_at timestamptz,
    -- The entry of the audit trail that holds the report of the switch.
    report bigint,
    -- Why the last attempt at a step was given up.
    trouble text,
    -- How long the tenant's writers waited at the switch, in milliseconds.
    frozen_ms bigint,
    purge_asked_by text,
    purge_approved_by text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (purge_approved_by IS NULL OR purge_approved_by <> purge_asked_by),
    CHECK (state NOT IN ('purging', 'purged') OR purge_approved_by IS NOT NULL)
);
CREATE UNIQUE INDEX moves_one_at_a_time ON platform.moves (tenant_id)
    WHERE state NOT IN ('returned', 'purged', 'cancelled');
ALTER TABLE platform.moves ENABLE ROW LEVEL SECURITY;
ALTER TABLE platform.moves FORCE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON platform.moves TO progress_worker USING (true) WITH CHECK (true);
CREATE POLICY definer_reads ON platform.moves FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE ON platform.moves TO progress_worker;

-- The tenants to which nothing is added here now. Whoever brings a tenant that arrives, or removes what is left of one that is away,
-- names the move.
CREATE FUNCTION platform.closed_tenants() RETURNS pg_catalog.uuid[]
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT coalesce(pg_catalog.array_agg(r.tenant_id), '{}') FROM platform.residences r
        WHERE r.standing = 'frozen'
           OR r.standing IN ('arriving', 'away') AND r.move_id::text IS DISTINCT FROM pg_catalog.current_setting('app.move_id', true)
    $$;
REVOKE ALL ON FUNCTION platform.closed_tenants() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION platform.closed_tenants() TO progress_service, progress_ingest, progress_worker;

-- Takes the keys by which another cell makes pseudonyms and knows who was erased: tenants then move between the two and stay who
-- they are. Whoever calls it has seen to it that nothing was ever made with this cell's own.
CREATE FUNCTION platform.join_cells(actor bytea, erasure bytea) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
        INSERT INTO platform.signing_keys (purpose, key) VALUES ('actor', actor), ('erasure', erasure)
        ON CONFLICT (purpose) DO UPDATE SET key = excluded.key
    $$;
REVOKE ALL ON FUNCTION platform.join_cells(bytea, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION platform.join_cells(bytea, bytea) TO progress_worker;
