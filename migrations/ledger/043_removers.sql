-- Description: what erasure and retention may remove of the ledger, of one tenant at a time
-- Breaking: no
-- Manual: no
-- Lock: exclusive-brief
-- progress: allow two-tables because each policy is a moment, in the order in which writers take these tables
-- progress: allow ledger-append-only because these two roles are the road on which rows leave, and neither serves requests

GRANT USAGE ON SCHEMA ledger TO progress_eraser, progress_retention;
GRANT EXECUTE ON FUNCTION ledger.moment(bigint), ledger.settled(bigint) TO progress_eraser, progress_retention;
GRANT SELECT ON ledger.partitions TO progress_eraser, progress_retention;

-- Rows go; what names somebody in a row that stays is written anew as another row.
GRANT SELECT, DELETE ON ledger.statements, ledger.relations, ledger.detached_statements, ledger.detached_relations,
    ledger.refs, ledger.reaches, ledger.links_due, ledger.documents, ledger.attachments, ledger.attachment_pieces,
    ledger.attachment_bringers TO progress_eraser, progress_retention;
GRANT INSERT ON ledger.statements, ledger.relations, ledger.detached_statements, ledger.detached_relations,
    ledger.reaches, ledger.links_due TO progress_eraser;
GRANT SELECT, UPDATE, DELETE ON ledger.agents, ledger.activities TO progress_eraser;
GRANT UPDATE ON ledger.documents TO progress_eraser;
-- An id stays as a tombstone, so that nothing comes back under it.
GRANT SELECT, UPDATE (erased, digest) ON ledger.statement_ids TO progress_eraser, progress_retention;
-- A segment gives way; what it holds is the archive's business.
GRANT SELECT ON ledger.segments TO progress_eraser, progress_retention;
GRANT UPDATE (state, marked_at) ON ledger.segments TO progress_retention;

CREATE POLICY removers ON ledger.agents TO progress_eraser
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON ledger.activities TO progress_eraser
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON ledger.attachments TO progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON ledger.attachment_pieces TO progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON ledger.attachment_bringers TO progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON ledger.statement_ids TO progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON ledger.statements TO progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON ledger.relations TO progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON ledger.refs TO progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON ledger.reaches TO progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON ledger.links_due TO progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON ledger.documents TO progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON ledger.detached_statements TO progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON ledger.detached_relations TO progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON ledger.segments TO progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
