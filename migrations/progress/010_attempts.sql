-- Description: attempts, completion records and scores, what they are folded from, and the events they give cause to
-- Breaking: no
-- Manual: no
-- Lock: none

-- How far the projections have read each tenant's ledger. Its row is also the lock: one step at a time per tenant.
CREATE TABLE progress.projection_cursors (
    tenant_id uuid PRIMARY KEY,
    -- Every statement stored up to here is in the projections.
    position timestamptz NOT NULL,
    -- The version of the table of verbs' effects it was read with.
    effects_version integer NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Who tries what, by the first statement that named the attempt. It stays when that statement is voided, so that
-- a number is never given twice.
CREATE TABLE progress.attempt_names (
    tenant_id uuid NOT NULL,
    id text NOT NULL,
    enrollment_id text NOT NULL,
    attempt_number integer NOT NULL CHECK (attempt_number > 0),
    user_id text NOT NULL,
    course_id text NOT NULL,
    course_version_id text NOT NULL,
    first_stored timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, enrollment_id, attempt_number)
);

-- What each statement says of its attempt: a fold needs nothing else, even when the month has left the database.
CREATE TABLE progress.attempt_statements (
    tenant_id uuid NOT NULL,
    statement_id uuid NOT NULL,
    attempt_id text NOT NULL,
    stored timestamptz NOT NULL,
    occurred timestamptz NOT NULL,
    effect text NOT NULL,
    success boolean,
    -- Ten-thousandths.
    score integer CHECK (score BETWEEN 0 AND 10000),
    seconds bigint,
    PRIMARY KEY (tenant_id, statement_id)
);
CREATE INDEX attempt_statements_by_attempt ON progress.attempt_statements (tenant_id, attempt_id, stored);

CREATE TABLE progress.attempts (
    tenant_id uuid NOT NULL,
    id text NOT NULL,
    user_id text NOT NULL,
    enrollment_id text NOT NULL,
    course_id text NOT NULL,
    course_version_id text NOT NULL,
    attempt_number integer NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'closed')),
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    outcome text CHECK (outcome IN ('passed', 'failed', 'incomplete', 'abandoned')),
    score numeric(5, 4) CHECK (score BETWEEN 0 AND 1),
    duration_seconds bigint CHECK (duration_seconds >= 0),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, enrollment_id, attempt_number),
    -- No closing without an outcome, an end and a duration; none of them without closing.
    CHECK ((state = 'closed') = (outcome IS NOT NULL)),
    CHECK ((state = 'closed') = (ended_at IS NOT NULL)),
    CHECK ((state = 'closed') = (duration_seconds IS NOT NULL))
);
CREATE INDEX attempts_by_user ON progress.attempts (tenant_id, user_id);

CREATE TABLE progress.completion_records (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    attempt_id text NOT NULL,
    enrollment_id text NOT NULL,
    user_id text NOT NULL,
    course_id text NOT NULL,
    course_version_id text NOT NULL,
    completed_at timestamptz NOT NULL,
    score numeric(5, 4),
    passed boolean NOT NULL,
    evidence_statement_ids uuid[] NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, attempt_id)
);
CREATE INDEX completion_records_by_enrollment ON progress.completion_records (tenant_id, enrollment_id);
CREATE INDEX completion_records_by_user ON progress.completion_records (tenant_id, user_id);

CREATE TABLE progress.scores (
    tenant_id uuid NOT NULL,
    attempt_id text NOT NULL,
    enrollment_id text NOT NULL,
    user_id text NOT NULL,
    score numeric(5, 4) NOT NULL,
    grading_rule text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, attempt_id)
);
CREATE INDEX scores_by_user ON progress.scores (tenant_id, user_id);

-- Events of projections, written in the transaction that changed them. An id is made of tenant, type and attempt, so
-- the same event never stands here twice. Rows of one key are in the order of their positions; across keys a row
-- is safe to pass by once its transaction is older than every running one.
CREATE TABLE progress.outbox (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    position bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    type text NOT NULL,
    key text NOT NULL,
    correlation_id text NOT NULL,
    causation_id uuid NOT NULL,
    occurred_at timestamptz NOT NULL,
    data text NOT NULL,
    created_by xid8 NOT NULL DEFAULT pg_current_xact_id(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    published_at timestamptz,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX outbox_unpublished ON progress.outbox (position) WHERE published_at IS NULL;

DO $$
DECLARE
    noun text;
BEGIN
    FOREACH noun IN ARRAY ARRAY['projection_cursors', 'attempt_names', 'attempt_statements', 'attempts',
                                'completion_records', 'scores', 'outbox'] LOOP
        EXECUTE format('ALTER TABLE progress.%I ENABLE ROW LEVEL SECURITY', noun);
        EXECUTE format('ALTER TABLE progress.%I FORCE ROW LEVEL SECURITY', noun);
        EXECUTE format('CREATE POLICY own_tenant ON progress.%I FOR SELECT TO progress_service '
            'USING (tenant_id = (SELECT platform.current_tenant()))', noun);
        EXECUTE format('CREATE POLICY every_tenant ON progress.%I TO progress_worker '
            'USING (true) WITH CHECK (true)', noun);
        EXECUTE format('GRANT SELECT ON progress.%I TO progress_service', noun);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON progress.%I TO progress_worker', noun);
    END LOOP;
END
$$;
