DROP INDEX IF EXISTS ledger.documents_by_agent;
