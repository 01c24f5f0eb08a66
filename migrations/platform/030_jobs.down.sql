DROP POLICY IF EXISTS every_tenant ON platform.jobs;
ALTER TABLE platform.jobs NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY;
ALTER TABLE platform.jobs
    DROP COLUMN IF EXISTS tenant_id,
    DROP COLUMN IF EXISTS plan_digest,
    DROP COLUMN IF EXISTS approved_by,
    DROP COLUMN IF EXISTS asked,
    DROP COLUMN IF EXISTS attempts,
    DROP COLUMN IF EXISTS crashes,
    DROP COLUMN IF EXISTS checkpoint,
    DROP COLUMN IF EXISTS checkpoint_format,
    DROP COLUMN IF EXISTS error,
    DROP COLUMN IF EXISTS started_at,
    DROP COLUMN IF EXISTS finished_at;
