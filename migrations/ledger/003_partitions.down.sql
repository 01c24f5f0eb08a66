-- The months themselves go with the tables they are attached to.
DROP FUNCTION IF EXISTS ledger.ensure_month(timestamptz);
DROP TABLE IF EXISTS ledger.partitions;
