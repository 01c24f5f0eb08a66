-- Description: copies of months are begun with the number of the last erasure that has ended
-- Breaking: no
-- Manual: no
-- Lock: exclusive-brief
-- Previous: serves

ALTER TABLE ledger.month_fills ALTER COLUMN erasure_stamp SET DEFAULT ledger.erasures_finished();
