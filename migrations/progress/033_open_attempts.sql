-- Description: find the attempts that are still open without reading the closed ones
-- Breaking: no
-- Manual: no
-- Lock: share-update
-- progress: no-transaction

CREATE INDEX CONCURRENTLY IF NOT EXISTS attempts_open ON progress.attempts (tenant_id, id) WHERE state = 'open';
