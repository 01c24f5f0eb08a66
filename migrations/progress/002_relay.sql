-- Description: how far each tenant's statements have gone out as events
-- Breaking: no
-- Manual: no
-- Lock: none

CREATE TABLE progress.relay_cursors (
    tenant_id uuid PRIMARY KEY,
    -- Everything stored up to here has been acknowledged by the brokers.
    position timestamptz NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

ALTER TABLE progress.relay_cursors ENABLE ROW LEVEL SECURITY;
ALTER TABLE progress.relay_cursors FORCE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON progress.relay_cursors TO progress_worker USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON progress.relay_cursors TO progress_worker;
