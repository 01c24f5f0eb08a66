-- Description: forwards: what a tenant sends on to another LRS, how far each has come, and what was refused there
-- Breaking: no
-- Manual: no
-- Lock: none
-- Previous: serves

-- Where the other LRS is, and the login for it, stand in the configuration under the name of the target: a row holds no secret,
-- and nobody who can write rows can send a secret elsewhere.
CREATE TABLE progress.forwards (
    -- Which of the nodes' shares it is in; one that is made anew under its old name has another.
    number bigint NOT NULL GENERATED ALWAYS AS IDENTITY UNIQUE,
    tenant_id uuid NOT NULL,
    name text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    target text NOT NULL CHECK (target ~ '^[a-z0-9-]{1,63}$'),
    -- What goes: all, or what has one of the verbs, and one of the activities.
    verbs text[] NOT NULL DEFAULT '{}',
    activities text[] NOT NULL DEFAULT '{}',
    is_paused boolean NOT NULL DEFAULT false,
    -- The statement up to which everything is settled: the other side said that it has it, or it was refused, or is not meant to go.
    -- No two statements of a tenant are stored at one moment.
    position timestamptz NOT NULL,
    position_id uuid,
    sent bigint NOT NULL DEFAULT 0,
    refused bigint NOT NULL DEFAULT 0,
    sent_at timestamptz,
    -- Tries in a row that came to nothing, why the last one did, and when the next one is.
    failures integer NOT NULL DEFAULT 0,
    last_error text,
    failed_at timestamptz,
    retry_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by text NOT NULL CHECK (length(created_by) BETWEEN 1 AND 500),
    PRIMARY KEY (tenant_id, name)
);

-- What the other side takes never, the newest of each forward: ids and a reason in our words, nothing of what they say.
CREATE TABLE progress.forward_refusals (
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    stored timestamptz NOT NULL,
    statement_id uuid NOT NULL,
    reason text NOT NULL,
    refused_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, name, stored),
    FOREIGN KEY (tenant_id, name) REFERENCES progress.forwards ON DELETE CASCADE
);

ALTER TABLE progress.forwards ENABLE ROW LEVEL SECURITY;
ALTER TABLE progress.forwards FORCE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON progress.forwards TO progress_worker USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON progress.forwards TO progress_worker;

ALTER TABLE progress.forward_refusals ENABLE ROW LEVEL SECURITY;
ALTER TABLE progress.forward_refusals FORCE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON progress.forward_refusals TO progress_worker USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON progress.forward_refusals TO progress_worker;
