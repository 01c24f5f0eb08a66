-- Description: attempts, completions and scores of people who are hidden are shown to nobody
-- Breaking: no
-- Manual: no
-- Lock: exclusive-brief
-- progress: allow two-tables because each policy is a moment, and they are taken in the order in which the projections take the tables

CREATE POLICY not_hidden ON progress.attempts AS RESTRICTIVE FOR SELECT TO progress_service
    USING (user_id NOT IN (SELECT h.user_id FROM ledger.hidden_persons h
                           WHERE h.user_id IS NOT NULL AND h.tenant_id = (SELECT platform.current_tenant())));
CREATE POLICY not_hidden ON progress.completion_records AS RESTRICTIVE FOR SELECT TO progress_service
    USING (user_id NOT IN (SELECT h.user_id FROM ledger.hidden_persons h
                           WHERE h.user_id IS NOT NULL AND h.tenant_id = (SELECT platform.current_tenant())));
CREATE POLICY not_hidden ON progress.scores AS RESTRICTIVE FOR SELECT TO progress_service
    USING (user_id NOT IN (SELECT h.user_id FROM ledger.hidden_persons h
                           WHERE h.user_id IS NOT NULL AND h.tenant_id = (SELECT platform.current_tenant())));
