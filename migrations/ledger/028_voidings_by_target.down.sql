DROP INDEX IF EXISTS ledger.refs_voiding;
