-- Description: what a document is of, by its names, so that it can be told to another ledger
-- Breaking: no
-- Manual: no
-- Lock: exclusive-brief

-- The activity's id, and the agent's identifier as JSON. Absent for what was written before: its keys mean something in its own
-- tenant alone, until it is written again.
ALTER TABLE ledger.documents ADD COLUMN IF NOT EXISTS activity text, ADD COLUMN IF NOT EXISTS agent text;
