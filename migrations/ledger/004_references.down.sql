DROP FUNCTION IF EXISTS ledger.link(uuid, uuid[]);
DROP TABLE IF EXISTS ledger.reaches;
DROP TABLE IF EXISTS ledger.refs;
