-- Description: archived months as foreign tables, under a parent of their own that only people's queries read
-- Breaking: no
-- Manual: no
-- Lock: none

-- What foreign tables are not asked to compute: PostgreSQL compares, searches and takes apart such a text itself, as it does a
-- local one, because an operator on a type that is not built in is never sent away.
CREATE DOMAIN ledger.archived_text AS text;

-- The service itself never reads it: a query that begins here connects to the gateway.
CREATE TABLE ledger.archived_statements (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    stored timestamptz NOT NULL,
    occurred timestamptz,
    verb_key uuid NOT NULL,
    agent_key uuid,
    activity_key uuid,
    registration_key uuid,
    refers_to uuid,
    voiding boolean NOT NULL,
    converts boolean NOT NULL,
    payload ledger.archived_text NOT NULL
) PARTITION BY RANGE (stored);

ALTER TABLE ledger.archived_statements ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.archived_statements FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON ledger.archived_statements FOR SELECT TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON ledger.archived_statements FOR SELECT TO progress_worker USING (true);
GRANT SELECT ON ledger.archived_statements TO progress_service, progress_worker;

-- All months, wherever they lie. Whoever reads it needs a bound on `stored` to keep off the archive.
CREATE VIEW ledger.all_statements WITH (security_invoker = true) AS
    SELECT tenant_id, id, stored, occurred, verb_key, agent_key, activity_key, registration_key, refers_to, voiding, converts,
           payload
    FROM ledger.statements
    UNION ALL
    SELECT tenant_id, id, stored, occurred, verb_key, agent_key, activity_key, registration_key, refers_to, voiding, converts,
           payload
    FROM ledger.detached_statements
    UNION ALL
    SELECT tenant_id, id, stored, occurred, verb_key, agent_key, activity_key, registration_key, refers_to, voiding, converts,
           payload::text
    FROM ledger.archived_statements;
GRANT SELECT ON ledger.all_statements TO progress_service, progress_worker;
