-- Description: jobs that any node can go on with: whose, by which plan, how far, what was asked of them, how often they were taken
-- Breaking: no
-- Manual: no
-- Lock: exclusive-brief

-- `state` keeps its four words, which the release before reads; `asked` says the rest: a job that is pending and asked to pause
-- is paused, one that failed and was asked to is cancelled.
ALTER TABLE platform.jobs
    ADD COLUMN tenant_id uuid,
    ADD COLUMN plan_digest text,
    ADD COLUMN approved_by text,
    ADD COLUMN asked text,
    ADD COLUMN attempts integer NOT NULL DEFAULT 0,
    -- Takings in a row whose node went away without having come further.
    ADD COLUMN crashes integer NOT NULL DEFAULT 0,
    ADD COLUMN checkpoint jsonb,
    ADD COLUMN checkpoint_format integer,
    ADD COLUMN error text,
    ADD COLUMN started_at timestamptz,
    ADD COLUMN finished_at timestamptz,
    ADD CONSTRAINT jobs_asked CHECK (asked IN ('pause', 'cancel')) NOT VALID;

ALTER TABLE platform.jobs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON platform.jobs TO progress_worker USING (true) WITH CHECK (true);
