-- Description: find the references to settle tenant by tenant, so that one with many does not keep others waiting
-- Breaking: no
-- Manual: no
-- Lock: share-update
-- progress: no-transaction

CREATE INDEX CONCURRENTLY IF NOT EXISTS refs_due ON ledger.refs (tenant_id, stored) WHERE NOT settled;
