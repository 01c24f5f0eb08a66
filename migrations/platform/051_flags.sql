-- Description: flags and settings of tenants: every change is a row, the newest of its kind is in force
-- Breaking: no
-- Manual: no
-- Lock: none

CREATE TABLE platform.flags (
    number bigint NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CHECK (name ~ '^[a-z][a-z0-9_]*([.][a-z0-9_]+)*$' AND length(name) <= 63),
    -- Absent: for every tenant that has none of its own.
    tenant_id uuid,
    -- Absent: taken back, as if it had never been set.
    value jsonb CHECK (jsonb_typeof(value) IN ('boolean', 'number')),
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 2000),
    set_by text NOT NULL CHECK (length(set_by) BETWEEN 1 AND 500),
    set_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX flags_by_name ON platform.flags (name, tenant_id, number);

-- Nodes keep what is in force in memory and look for newer numbers, as the worker; requests read nothing here.
ALTER TABLE platform.flags ENABLE ROW LEVEL SECURITY;
ALTER TABLE platform.flags FORCE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON platform.flags TO progress_worker USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON platform.flags TO progress_worker;

CREATE TRIGGER only_added BEFORE UPDATE OR DELETE ON platform.flags
    FOR EACH ROW EXECUTE FUNCTION platform.refuse_change();
CREATE TRIGGER is_not_truncated BEFORE TRUNCATE ON platform.flags
    FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_change();
ALTER TABLE platform.flags ENABLE ALWAYS TRIGGER only_added;
ALTER TABLE platform.flags ENABLE ALWAYS TRIGGER is_not_truncated;
