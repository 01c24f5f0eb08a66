-- Description: sessions of people whom the OpenID issuer let in to the pages under /admin
-- Breaking: no
-- Manual: no
-- Lock: none
-- Previous: serves

-- Beside platform.sessions: behind these stands no credential, so who it is, and what they may, is kept here. Of what a browser holds
-- it is the SHA-256.
CREATE TABLE platform.person_sessions (
    token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    tenant_id uuid NOT NULL,
    issuer text NOT NULL,
    -- The `sub` of the ID token.
    subject text NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX person_sessions_by_end ON platform.person_sessions (expires_at);
GRANT SELECT, INSERT, UPDATE (seen_at), DELETE ON platform.person_sessions TO progress_worker;

ALTER TABLE platform.person_sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE platform.person_sessions FORCE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON platform.person_sessions TO progress_worker USING (true) WITH CHECK (true);
