-- Description: list the lasting credentials of a tenant among all that its launches have
-- Breaking: no
-- Manual: no
-- Lock: share-update
-- progress: no-transaction

CREATE INDEX CONCURRENTLY IF NOT EXISTS credentials_lasting ON platform.credentials (tenant_id, credential_id) WHERE registration IS NULL;
