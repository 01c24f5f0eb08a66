-- Description: leases and jobs of the background work, and the audit trail
-- Breaking: no
-- Manual: no
-- Lock: none

-- One holder at a time drives a loop; the fence grows with every change of hands.
CREATE TABLE platform.leases (
    name text PRIMARY KEY,
    holder text NOT NULL,
    fence bigint NOT NULL,
    expires_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON platform.leases TO progress_worker;

CREATE TABLE platform.jobs (
    job_id uuid PRIMARY KEY,
    kind text NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'running', 'succeeded', 'failed')),
    requested_by text NOT NULL,
    request jsonb NOT NULL,
    progress jsonb NOT NULL DEFAULT '{}',
    outcome jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX jobs_by_kind ON platform.jobs (kind, created_at);
GRANT SELECT, INSERT, UPDATE ON platform.jobs TO progress_worker;

-- Who did what, free of personal data. Rows are only ever added.
CREATE TABLE platform.audit (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id uuid,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_by_tenant ON platform.audit (tenant_id, at);

CREATE FUNCTION platform.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
    BEGIN
        RAISE EXCEPTION '% on %.% is refused: its rows are only ever added', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END
    $$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON platform.audit
    FOR EACH ROW EXECUTE FUNCTION platform.refuse_change();
CREATE TRIGGER audit_is_not_truncated BEFORE TRUNCATE ON platform.audit
    FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_change();
-- ALWAYS: a session in replica mode must not slip past it.
ALTER TABLE platform.audit ENABLE ALWAYS TRIGGER audit_is_append_only;
ALTER TABLE platform.audit ENABLE ALWAYS TRIGGER audit_is_not_truncated;

ALTER TABLE platform.audit ENABLE ROW LEVEL SECURITY;
ALTER TABLE platform.audit FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON platform.audit TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()))
    WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON platform.audit TO progress_worker USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON platform.audit TO progress_service, progress_worker;
