-- Description: rollouts: their plans, what was done by them, and how requests went meanwhile
-- Breaking: no
-- Manual: no
-- Lock: none

CREATE TABLE platform.rollouts (
    rollout_id uuid PRIMARY KEY,
    name text NOT NULL CHECK (name ~ '^[a-z][a-z0-9-]{0,62}$'),
    plan jsonb NOT NULL,
    digest text NOT NULL,
    state text NOT NULL CHECK (state IN ('running', 'holding', 'paused', 'done', 'aborted', 'rolled_back')),
    -- The place of the step in the order in which they are done.
    step integer NOT NULL DEFAULT 0,
    -- Whether what the step does is done, and since when: then its gate or its bake is waited for.
    acted_at timestamptz,
    asked_by text NOT NULL,
    approved_by text,
    why text,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    CONSTRAINT approved_by_another CHECK (lower(btrim(approved_by)) <> lower(btrim(asked_by)))
);
-- One at a time is underway: two would watch each other's changes.
CREATE UNIQUE INDEX rollouts_underway ON platform.rollouts ((true)) WHERE state IN ('running', 'holding', 'paused');
GRANT SELECT, INSERT, UPDATE ON platform.rollouts TO progress_worker;

CREATE TABLE platform.rollout_events (
    number bigint NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rollout_id uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    step text NOT NULL,
    what text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}',
    done_by text NOT NULL
);
CREATE INDEX rollout_events_by_rollout ON platform.rollout_events (rollout_id, number);
GRANT SELECT, INSERT ON platform.rollout_events TO progress_worker;
CREATE TRIGGER only_added BEFORE UPDATE OR DELETE ON platform.rollout_events
    FOR EACH ROW EXECUTE FUNCTION platform.refuse_change();
CREATE TRIGGER is_not_truncated BEFORE TRUNCATE ON platform.rollout_events
    FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_change();
ALTER TABLE platform.rollout_events ENABLE ALWAYS TRIGGER only_added;
ALTER TABLE platform.rollout_events ENABLE ALWAYS TRIGGER is_not_truncated;

-- What a node counted of a tenant's requests while a step was baked.
CREATE TABLE platform.rollout_samples (
    rollout_id uuid NOT NULL,
    step integer NOT NULL,
    tenant_id uuid NOT NULL,
    node uuid NOT NULL,
    requests bigint NOT NULL,
    errors bigint NOT NULL,
    slow bigint NOT NULL,
    PRIMARY KEY (rollout_id, step, tenant_id, node)
);
ALTER TABLE platform.rollout_samples ENABLE ROW LEVEL SECURITY;
ALTER TABLE platform.rollout_samples FORCE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON platform.rollout_samples TO progress_worker USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON platform.rollout_samples TO progress_worker;
