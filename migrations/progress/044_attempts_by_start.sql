-- Description: find the attempts that began within some days
-- Breaking: no
-- Manual: no
-- Lock: share-update
-- progress: no-transaction

CREATE INDEX CONCURRENTLY IF NOT EXISTS attempts_by_start ON progress.attempts (tenant_id, started_at);
