DROP TABLE IF EXISTS ledger.writings;
DROP TABLE IF EXISTS ledger.segments;
