-- Description: find the jobs that are not over yet among all there ever were
-- Breaking: no
-- Manual: no
-- Lock: share-update
-- progress: no-transaction

CREATE INDEX CONCURRENTLY IF NOT EXISTS jobs_waiting ON platform.jobs (created_at, job_id) WHERE state IN ('pending', 'running');
