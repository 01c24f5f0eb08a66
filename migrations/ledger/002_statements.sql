-- Description: the ledger of statements in monthly partitions, the guard of their ids, and who relates to them
-- Breaking: no
-- Manual: no
-- Lock: none

-- No unique index on the parent: a foreign table (an archived month) could then never be attached.
CREATE TABLE ledger.statements (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    stored timestamptz NOT NULL,
    -- NULL where the sender gave none: then it equals stored.
    occurred timestamptz,
    verb_key uuid NOT NULL,
    agent_key uuid,
    activity_key uuid,
    registration_key uuid,
    -- The statement that a StatementRef object names.
    refers_to uuid,
    voiding boolean NOT NULL,
    -- Whether it holds something that the other version of xAPI spells differently.
    converts boolean NOT NULL,
    -- The statement as JSON text, all but stored (and timestamp, where the sender gave none).
    payload text NOT NULL
) PARTITION BY RANGE (stored);

CREATE INDEX statements_by_stored ON ledger.statements (tenant_id, stored);
CREATE INDEX statements_by_verb ON ledger.statements (verb_key, stored);
CREATE INDEX statements_by_agent ON ledger.statements (agent_key, stored);
CREATE INDEX statements_by_activity ON ledger.statements (activity_key, stored);
CREATE INDEX statements_by_registration ON ledger.statements (registration_key, stored)
    WHERE registration_key IS NOT NULL;

-- One row for each agent and activity that a statement relates to beside those in its own columns.
CREATE TABLE ledger.relations (
    tenant_id uuid NOT NULL,
    key uuid NOT NULL,
    stored timestamptz NOT NULL
) PARTITION BY RANGE (stored);

CREATE INDEX relations_by_key ON ledger.relations (key, stored);

-- The guard: one row for each id ever stored. It outlives the month's archive and keeps the tombstone of an erasure.
CREATE TABLE ledger.statement_ids (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    stored timestamptz NOT NULL,
    digest bytea NOT NULL,
    erased boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, id)
);

ALTER TABLE ledger.statements ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.statements FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON ledger.statements TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()))
    WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON ledger.statements FOR SELECT TO progress_worker USING (true);
GRANT SELECT, INSERT ON ledger.statements TO progress_service;
GRANT SELECT ON ledger.statements TO progress_worker;

ALTER TABLE ledger.relations ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.relations FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON ledger.relations TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()))
    WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON ledger.relations FOR SELECT TO progress_worker USING (true);
GRANT SELECT, INSERT ON ledger.relations TO progress_service;
GRANT SELECT ON ledger.relations TO progress_worker;

ALTER TABLE ledger.statement_ids ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.statement_ids FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON ledger.statement_ids TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()))
    WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON ledger.statement_ids FOR SELECT TO progress_worker USING (true);
GRANT SELECT, INSERT ON ledger.statement_ids TO progress_service;
GRANT SELECT ON ledger.statement_ids TO progress_worker;

-- Rights already refuse it; the triggers hold even against the owner's own mistakes.
CREATE TRIGGER statements_are_append_only BEFORE UPDATE OR DELETE ON ledger.statements
    FOR EACH ROW EXECUTE FUNCTION platform.refuse_change();
CREATE TRIGGER statements_are_not_truncated BEFORE TRUNCATE ON ledger.statements
    FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_change();
ALTER TABLE ledger.statements ENABLE ALWAYS TRIGGER statements_are_append_only;
ALTER TABLE ledger.statements ENABLE ALWAYS TRIGGER statements_are_not_truncated;
