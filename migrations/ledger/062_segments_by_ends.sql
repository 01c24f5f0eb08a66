-- Description: segments are begun with the number of the last erasure that has ended
-- Breaking: no
-- Manual: no
-- Lock: exclusive-brief
-- Previous: serves

-- Of which erasures a segment is clean, by their end; absent where a release began it that knows the stamp alone.
ALTER TABLE ledger.segments ADD COLUMN erasures_finished bigint;
