DROP INDEX IF EXISTS ledger.agents_by_user;
