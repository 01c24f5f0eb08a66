-- Description: registrations of which nobody spoke for long, in the order of the ledger, as an input of the projections
-- Breaking: no
-- Manual: no
-- Lock: none

CREATE TABLE progress.silences (
    tenant_id uuid NOT NULL,
    attempt_id text NOT NULL,
    id uuid NOT NULL,
    -- A microsecond of the ledger's clock that no statement has: its place among the statements.
    stored timestamptz NOT NULL,
    -- When the last statement was stored that was known by then. A later one breaks the silence.
    last_word timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, attempt_id, last_word)
);
CREATE INDEX silences_by_stored ON progress.silences (tenant_id, stored);

ALTER TABLE progress.silences ENABLE ROW LEVEL SECURITY;
ALTER TABLE progress.silences FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON progress.silences FOR SELECT TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON progress.silences TO progress_worker USING (true) WITH CHECK (true);
GRANT SELECT ON progress.silences TO progress_service;
GRANT SELECT, INSERT, DELETE ON progress.silences TO progress_worker;
