-- Description: find the voidings of a statement without reading everything else that refers to it
-- Breaking: no
-- Manual: no
-- Lock: share-update
-- progress: no-transaction

CREATE INDEX CONCURRENTLY IF NOT EXISTS refs_voiding ON ledger.refs (tenant_id, target_id) WHERE voids;
