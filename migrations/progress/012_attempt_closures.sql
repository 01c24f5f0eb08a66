-- Description: attempts that an administrator closed by hand, in the order of the ledger, as an input of the projections
-- Breaking: no
-- Manual: no
-- Lock: none

CREATE TABLE progress.attempt_closures (
    tenant_id uuid NOT NULL,
    attempt_id text NOT NULL,
    id uuid NOT NULL,
    -- A microsecond of the ledger's clock that no statement has: its place among the statements.
    stored timestamptz NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('failed', 'incomplete', 'abandoned')),
    closed_by text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (tenant_id, attempt_id)
);
CREATE INDEX attempt_closures_by_stored ON progress.attempt_closures (tenant_id, stored);

ALTER TABLE progress.attempt_closures ENABLE ROW LEVEL SECURITY;
ALTER TABLE progress.attempt_closures FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON progress.attempt_closures FOR SELECT TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON progress.attempt_closures TO progress_worker USING (true) WITH CHECK (true);
GRANT SELECT ON progress.attempt_closures TO progress_service;
GRANT SELECT, INSERT, DELETE ON progress.attempt_closures TO progress_worker;
