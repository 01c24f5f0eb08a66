-- Description: find the documents of a person
-- Breaking: no
-- Manual: no
-- Lock: share-update
-- progress: no-transaction

CREATE INDEX CONCURRENTLY IF NOT EXISTS documents_by_agent ON ledger.documents (tenant_id, agent_key) WHERE agent_key IS NOT NULL;
