-- Description: whose a document is, so that it can be found for them
-- Breaking: no
-- Manual: no
-- Lock: exclusive-brief

-- The lookup key of its agent. Absent for documents of activities, and for those that were written before: they are found by the
-- activities that the tenant knows, and get it when they are written again.
ALTER TABLE ledger.documents ADD COLUMN agent_key uuid;
