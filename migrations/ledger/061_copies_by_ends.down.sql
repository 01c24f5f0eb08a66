ALTER TABLE ledger.month_fills ALTER COLUMN erasure_stamp SET DEFAULT ledger.erasure_stamp();
