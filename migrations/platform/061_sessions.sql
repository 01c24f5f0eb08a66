-- Description: sessions of people who look at the pages under /admin
-- Breaking: no
-- Manual: no
-- Lock: none

-- What a browser holds is 256 random bits; kept is their SHA-256, so that nobody who reads the table can sit down in a session.
CREATE TABLE platform.sessions (
    token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    tenant_id uuid NOT NULL,
    credential_id uuid NOT NULL,
    -- Of the secret that opened it, as it is stored: a session ends with its secret.
    secret_digest bytea NOT NULL CHECK (length(secret_digest) = 32),
    created_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_by_end ON platform.sessions (expires_at);
GRANT SELECT, INSERT, UPDATE (seen_at), DELETE ON platform.sessions TO progress_worker;

ALTER TABLE platform.sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE platform.sessions FORCE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON platform.sessions TO progress_worker USING (true) WITH CHECK (true);
