-- Description: find the launches of a registration, the newest first
-- Breaking: no
-- Manual: no
-- Lock: share-update
-- progress: no-transaction

CREATE INDEX CONCURRENTLY IF NOT EXISTS launches_by_registration ON platform.credentials (tenant_id, registration, created_at)
    WHERE registration IS NOT NULL;
