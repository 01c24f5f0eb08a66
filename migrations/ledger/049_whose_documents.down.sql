ALTER TABLE ledger.documents DROP COLUMN IF EXISTS agent_key;
