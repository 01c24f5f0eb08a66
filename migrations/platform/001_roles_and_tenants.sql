-- Description: the group roles of the data plane and of the workers, and the tenants
-- Breaking: no
-- Manual: no
-- Lock: none

-- progress_service serves requests and sees one tenant at a time; progress_worker runs background
-- loops and administration across tenants. Neither owns anything. Roles belong to the whole server,
-- so another database of the same server may have made them already, or be making them right now.
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['progress_service', 'progress_worker'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
        IF NOT pg_catalog.pg_has_role(current_user, wanted, 'MEMBER') THEN
            EXECUTE format('GRANT %I TO CURRENT_USER', wanted);
        END IF;
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA platform TO progress_service, progress_worker;

-- The tenant of the transaction; NULL (and so no row at all) when none was set.
CREATE FUNCTION platform.current_tenant() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT nullif(pg_catalog.current_setting('app.tenant_id', true), '')::uuid $$;

CREATE TABLE platform.tenants (
    tenant_id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 200),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    created_at timestamptz NOT NULL DEFAULT now(),
    status_changed_at timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE platform.tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE platform.tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON platform.tenants FOR SELECT TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON platform.tenants TO progress_worker USING (true) WITH CHECK (true);
-- Functions that run with their owner's rights read through this.
CREATE POLICY definer_reads ON platform.tenants TO CURRENT_USER USING (true) WITH CHECK (true);
GRANT SELECT ON platform.tenants TO progress_service;
GRANT SELECT, INSERT, UPDATE ON platform.tenants TO progress_worker;

INSERT INTO platform.tenants (tenant_id, name) VALUES ('00000000-0000-4000-8000-000000000001', 'default');
