-- Description: what is hidden is shown to nobody, and displays of verbs may leave with the only one who used them
-- Breaking: no
-- Manual: no
-- Lock: exclusive-brief
-- progress: allow two-tables because each policy is a moment, and they are taken in the order in which writers take the tables

CREATE POLICY removers ON ledger.verbs_seen TO progress_eraser
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
GRANT SELECT, DELETE ON ledger.verbs_seen TO progress_eraser;

-- What is hidden is read once a query, and is nothing at most times.
CREATE POLICY not_hidden ON ledger.statements AS RESTRICTIVE FOR SELECT TO progress_service
    USING ((stored, id) NOT IN (SELECT h.stored, h.id FROM ledger.hidden h
                                WHERE h.tenant_id = (SELECT platform.current_tenant())));

-- What is hidden is read once a query, and is nothing at most times.
CREATE POLICY not_hidden ON ledger.detached_statements AS RESTRICTIVE FOR SELECT TO progress_service
    USING ((stored, id) NOT IN (SELECT h.stored, h.id FROM ledger.hidden h
                                WHERE h.tenant_id = (SELECT platform.current_tenant())));
