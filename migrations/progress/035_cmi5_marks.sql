-- Description: what was said of cmi5 sessions and units that decides what may follow
-- Breaking: no
-- Manual: no
-- Lock: none

CREATE TABLE progress.cmi5_marks (
    tenant_id uuid NOT NULL,
    -- Made of session or unit, registration and learner, and of what was said: no personal data.
    key uuid NOT NULL,
    statement_id uuid NOT NULL,
    verb text NOT NULL,
    -- By the statement's own timestamp.
    occurred timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, key)
);

ALTER TABLE progress.cmi5_marks ENABLE ROW LEVEL SECURITY;
ALTER TABLE progress.cmi5_marks FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON progress.cmi5_marks TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()))
    WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON progress.cmi5_marks FOR SELECT TO progress_worker USING (true);
GRANT SELECT, INSERT, DELETE ON progress.cmi5_marks TO progress_service;
GRANT SELECT ON progress.cmi5_marks TO progress_worker;
