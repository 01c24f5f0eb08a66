-- Description: which trace new statements belong to, for an hour, where requests are traced
-- Breaking: no
-- Manual: no
-- Lock: none
-- Previous: serves

-- Only what a collector is told of. Not a column of the statements: it says nothing of them, and is gone before they are archived.
CREATE TABLE ledger.traces (
    number bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    tenant_id uuid NOT NULL,
    statement_id uuid NOT NULL,
    -- The span that wrote it, as W3C has it.
    traceparent text NOT NULL CHECK (length(traceparent) BETWEEN 1 AND 55),
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- Not unique: a trace must never stand in a statement's way.
CREATE INDEX traces_by_statement ON ledger.traces (tenant_id, statement_id);
CREATE INDEX traces_by_age ON ledger.traces (made_at);

ALTER TABLE ledger.traces ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.traces FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON ledger.traces FOR INSERT TO progress_service
    WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY group_adds ON ledger.traces FOR INSERT TO progress_ingest
    WITH CHECK (tenant_id = ANY ((SELECT platform.current_tenants())::pg_catalog.uuid[]));
CREATE POLICY every_tenant ON ledger.traces TO progress_worker USING (true) WITH CHECK (true);
GRANT INSERT ON ledger.traces TO progress_service, progress_ingest;
-- FOR UPDATE asks for the right to change a column.
GRANT SELECT, DELETE, UPDATE (made_at) ON ledger.traces TO progress_worker;
