-- Description: list the jobs, the newest first
-- Breaking: no
-- Manual: no
-- Lock: share-update
-- progress: no-transaction

CREATE INDEX CONCURRENTLY IF NOT EXISTS jobs_by_age ON platform.jobs (created_at, job_id);
