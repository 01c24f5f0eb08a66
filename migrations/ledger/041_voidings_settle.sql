-- Description: a voiding that holds may be noted as holding, before the month of what it voids leaves
-- Breaking: no
-- Manual: no
-- Lock: none

-- Whether a voiding that is limited to an authority holds is asked of `relations`, which lacks a month that is archived. What
-- holds once holds for ever, so the limit is then taken off.
GRANT UPDATE (voids_only_of) ON ledger.refs TO progress_worker;
