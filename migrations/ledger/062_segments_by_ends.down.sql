ALTER TABLE ledger.segments DROP COLUMN IF EXISTS erasures_finished;
