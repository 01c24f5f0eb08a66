-- Description: what the role that writes for several tenants at once may add to the ledger, and the little it may look up
-- Breaking: no
-- Manual: no
-- Lock: exclusive-brief
-- progress: allow two-tables because only policies and rights change, in the order in which writers take the tables

-- A row is added only for a tenant that the transaction names. What is looked up is judged row by row (IS TRUE keeps the list of
-- tenants out of the index: it would be walked once for each of them), and is never a statement.

GRANT USAGE ON SCHEMA ledger TO progress_ingest;
GRANT EXECUTE ON FUNCTION ledger.reserve(bigint), ledger.moment(bigint) TO progress_ingest;

-- In the order in which writers take them.

CREATE POLICY group_adds ON ledger.agents FOR INSERT TO progress_ingest
    WITH CHECK (tenant_id = ANY ((SELECT platform.current_tenants())::pg_catalog.uuid[]));
CREATE POLICY group_sees ON ledger.agents FOR SELECT TO progress_ingest
    USING ((tenant_id = ANY ((SELECT platform.current_tenants())::pg_catalog.uuid[])) IS TRUE);
CREATE POLICY group_merges ON ledger.agents FOR UPDATE TO progress_ingest
    USING ((tenant_id = ANY ((SELECT platform.current_tenants())::pg_catalog.uuid[])) IS TRUE)
    WITH CHECK (tenant_id = ANY ((SELECT platform.current_tenants())::pg_catalog.uuid[]));
GRANT SELECT, INSERT, UPDATE (names) ON ledger.agents TO progress_ingest;

CREATE POLICY group_adds ON ledger.activities FOR INSERT TO progress_ingest
    WITH CHECK (tenant_id = ANY ((SELECT platform.current_tenants())::pg_catalog.uuid[]));
CREATE POLICY group_sees ON ledger.activities FOR SELECT TO progress_ingest
    USING ((tenant_id = ANY ((SELECT platform.current_tenants())::pg_catalog.uuid[])) IS TRUE);
CREATE POLICY group_merges ON ledger.activities FOR UPDATE TO progress_ingest
    USING ((tenant_id = ANY ((SELECT platform.current_tenants())::pg_catalog.uuid[])) IS TRUE)
    WITH CHECK (tenant_id = ANY ((SELECT platform.current_tenants())::pg_catalog.uuid[]));
GRANT SELECT, INSERT, UPDATE (definition, updated_at) ON ledger.activities TO progress_ingest;

CREATE POLICY group_adds ON ledger.verbs_seen FOR INSERT TO progress_ingest
    WITH CHECK (tenant_id = ANY ((SELECT platform.current_tenants())::pg_catalog.uuid[]));
CREATE POLICY group_sees ON ledger.verbs_seen FOR SELECT TO progress_ingest
    USING ((tenant_id = ANY ((SELECT platform.current_tenants())::pg_catalog.uuid[])) IS TRUE);
CREATE POLICY group_merges ON ledger.verbs_seen FOR UPDATE TO progress_ingest
    USING ((tenant_id = ANY ((SELECT platform.current_tenants())::pg_catalog.uuid[])) IS TRUE)
    WITH CHECK (tenant_id = ANY ((SELECT platform.current_tenants())::pg_catalog.uuid[]));
GRANT SELECT, INSERT, UPDATE (display) ON ledger.verbs_seen TO progress_ingest;

CREATE POLICY group_adds ON ledger.statement_ids FOR INSERT TO progress_ingest
    WITH CHECK (tenant_id = ANY ((SELECT platform.current_tenants())::pg_catalog.uuid[]));
CREATE POLICY group_sees ON ledger.statement_ids FOR SELECT TO progress_ingest
    USING ((tenant_id = ANY ((SELECT platform.current_tenants())::pg_catalog.uuid[])) IS TRUE);
GRANT SELECT, INSERT ON ledger.statement_ids TO progress_ingest;

CREATE POLICY group_adds ON ledger.statements FOR INSERT TO progress_ingest
    WITH CHECK (tenant_id = ANY ((SELECT platform.current_tenants())::pg_catalog.uuid[]));
GRANT INSERT ON ledger.statements TO progress_ingest;

CREATE POLICY group_adds ON ledger.relations FOR INSERT TO progress_ingest
    WITH CHECK (tenant_id = ANY ((SELECT platform.current_tenants())::pg_catalog.uuid[]));
GRANT INSERT ON ledger.relations TO progress_ingest;

-- Whether somebody refers to an id already, or may have voided it.
CREATE POLICY group_sees ON ledger.refs FOR SELECT TO progress_ingest
    USING ((tenant_id = ANY ((SELECT platform.current_tenants())::pg_catalog.uuid[])) IS TRUE);
GRANT SELECT (tenant_id, target_id, voids) ON ledger.refs TO progress_ingest;
