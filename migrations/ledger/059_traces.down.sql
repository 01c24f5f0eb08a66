DROP TABLE IF EXISTS ledger.traces;
