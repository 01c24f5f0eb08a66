-- Description: credentials per tenant, their secrets only as slow hashes
-- Breaking: no
-- Manual: no
-- Lock: share

CREATE TABLE platform.credentials (
    credential_id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES platform.tenants,
    api_key text NOT NULL UNIQUE CHECK (length(api_key) BETWEEN 1 AND 200),
    secret_hash text NOT NULL,
    -- The secret before the last rotation, accepted until its time is over.
    previous_secret_hash text,
    previous_valid_until timestamptz,
    scopes text[] NOT NULL,
    label text NOT NULL DEFAULT '',
    -- The Agent this credential speaks for; NULL makes the account {homePage, api_key}.
    agent jsonb,
    -- A launch credential is bound to one registration and learner, and never lives for ever.
    registration uuid,
    launch_actor jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT launch_is_whole CHECK (
        (registration IS NULL AND launch_actor IS NULL)
        OR (registration IS NOT NULL AND launch_actor IS NOT NULL AND expires_at IS NOT NULL))
);
CREATE INDEX credentials_by_tenant ON platform.credentials (tenant_id, created_at);

ALTER TABLE platform.credentials ENABLE ROW LEVEL SECURITY;
ALTER TABLE platform.credentials FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON platform.credentials TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()))
    WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON platform.credentials TO progress_worker USING (true) WITH CHECK (true);
CREATE POLICY definer_reads ON platform.credentials FOR SELECT TO CURRENT_USER USING (true);
-- Only a launch credential whose time is over may go; it holds a learner's identity nobody needs any more.
CREATE POLICY only_spent_launches ON platform.credentials AS RESTRICTIVE FOR DELETE TO progress_service, progress_worker
    USING (registration IS NOT NULL AND expires_at < now());
GRANT SELECT, INSERT, UPDATE, DELETE ON platform.credentials TO progress_service, progress_worker;

-- Authentication happens before the tenant is known: this finds exactly one credential by its key.
CREATE FUNCTION platform.find_credential(wanted text)
    RETURNS TABLE (
        credential_id uuid, tenant_id uuid, tenant_name text, tenant_status text, api_key text, secret_hash text,
        previous_secret_hash text, previous_valid_until timestamptz, scopes text[], label text, agent jsonb,
        registration uuid, launch_actor jsonb, created_at timestamptz, expires_at timestamptz, revoked_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog
    AS $$
        SELECT c.credential_id, c.tenant_id, t.name, t.status, c.api_key, c.secret_hash,
               c.previous_secret_hash, c.previous_valid_until, c.scopes, c.label, c.agent,
               c.registration, c.launch_actor, c.created_at, c.expires_at, c.revoked_at
        FROM platform.credentials c JOIN platform.tenants t ON t.tenant_id = c.tenant_id
        WHERE c.api_key = wanted
    $$;
REVOKE ALL ON FUNCTION platform.find_credential(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION platform.find_credential(text) TO progress_service, progress_worker;
