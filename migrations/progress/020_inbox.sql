-- Description: commands of other services, each taken once, and the requests they ask for
-- Breaking: no
-- Manual: no
-- Lock: none

-- Every command that was taken. It stays, so that one that comes again years later is still known.
CREATE TABLE progress.inbox (
    tenant_id uuid NOT NULL,
    source text NOT NULL CHECK (length(source) BETWEEN 1 AND 256),
    event_id text NOT NULL CHECK (length(event_id) BETWEEN 1 AND 256),
    type text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, source, event_id)
);

-- What is asked for. Erasure and residency work through their kinds in the order of the numbers.
CREATE TABLE progress.saga_requests (
    tenant_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('erasure', 'residency')),
    -- The saga's name for the request.
    request_id text NOT NULL CHECK (length(request_id) BETWEEN 1 AND 256),
    number bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    state text NOT NULL DEFAULT 'recorded' CHECK (state IN ('recorded', 'running', 'completed', 'failed')),
    -- The command's data as JSON text. An erasure's names a person: who completes it empties this.
    data text NOT NULL,
    -- The event that first asked for it.
    source text NOT NULL,
    event_id text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, kind, request_id)
);
CREATE INDEX saga_requests_open ON progress.saga_requests (kind, number) WHERE state IN ('recorded', 'running');

ALTER TABLE progress.inbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE progress.inbox FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON progress.inbox FOR SELECT TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON progress.inbox TO progress_worker USING (true) WITH CHECK (true);
GRANT SELECT ON progress.inbox TO progress_service;

ALTER TABLE progress.saga_requests ENABLE ROW LEVEL SECURITY;
ALTER TABLE progress.saga_requests FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON progress.saga_requests FOR SELECT TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON progress.saga_requests TO progress_worker USING (true) WITH CHECK (true);
GRANT SELECT ON progress.saga_requests TO progress_service;

GRANT SELECT, INSERT ON progress.inbox TO progress_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON progress.saga_requests TO progress_worker;
