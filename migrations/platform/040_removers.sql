-- Description: the two roles that may remove what is kept, one tenant at a time: erasure and retention
-- Breaking: no
-- Manual: no
-- Lock: exclusive-brief
-- progress: allow roles because rights are granted to these roles, which an operator may have made before
-- progress: allow dynamic-sql because the names of the logins that need them are only known where it runs
-- progress: allow two-tables because a policy is a moment, and the tables are short or rarely written

-- Neither serves requests nor runs loops: a transaction takes one of them on for a removal and names the tenant, and the
-- policies show it that tenant alone. Whoever is in progress_worker today gets them too, where the owner may give them; where not,
-- `db check-permissions` says what to grant.
DO $$
DECLARE
    wanted text;
    login record;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['progress_eraser', 'progress_retention'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
                EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', wanted);
            END IF;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL;
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION 'the role % is not there, and % may not make it', wanted, current_user
                    USING ERRCODE = 'insufficient_privilege',
                          HINT = pg_catalog.format('as an administrator: CREATE ROLE %I NOLOGIN; GRANT %I TO %I WITH ADMIN OPTION',
                                                   wanted, wanted, current_user);
        END;
        IF NOT pg_catalog.pg_has_role(current_user, wanted, 'MEMBER') THEN
            EXECUTE pg_catalog.format('GRANT %I TO CURRENT_USER', wanted);
        END IF;
        FOR login IN
            SELECT m.rolname AS name FROM pg_catalog.pg_auth_members a
            JOIN pg_catalog.pg_roles g ON g.oid = a.roleid JOIN pg_catalog.pg_roles m ON m.oid = a.member
            WHERE g.rolname = 'progress_worker' AND m.rolcanlogin
              AND NOT pg_catalog.pg_has_role(m.oid, wanted, 'MEMBER')
        LOOP
            BEGIN
                EXECUTE pg_catalog.format('GRANT %I TO %I', wanted, login.name);
            EXCEPTION WHEN insufficient_privilege THEN
                NULL;
            END;
        END LOOP;
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA platform TO progress_eraser, progress_retention;
GRANT EXECUTE ON FUNCTION platform.current_tenant() TO progress_eraser, progress_retention;

-- A removal is fenced like other work, and leaves an entry in the trail in its own transaction.
GRANT SELECT, UPDATE (expires_at) ON platform.leases TO progress_eraser, progress_retention;
GRANT SELECT, INSERT ON platform.audit TO progress_eraser, progress_retention;
CREATE POLICY removers ON platform.audit TO progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant()))
    WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
GRANT SELECT ON platform.tenants TO progress_eraser, progress_retention;
CREATE POLICY removers ON platform.tenants FOR SELECT TO progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant()));

-- A launch credential names a learner.
GRANT SELECT, DELETE ON platform.credentials TO progress_eraser;
CREATE POLICY eraser ON platform.credentials TO progress_eraser
    USING (tenant_id = (SELECT platform.current_tenant()) AND registration IS NOT NULL)
    WITH CHECK (false);

-- As before; but a row of the ledger may go when one of the two removes it. Nobody changes one, and nothing else goes.
CREATE OR REPLACE FUNCTION platform.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
    BEGIN
        IF TG_OP = 'DELETE' AND TG_LEVEL = 'ROW' AND TG_TABLE_SCHEMA = 'ledger'
            AND current_user IN ('progress_eraser', 'progress_retention') THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION '% on %.% is refused: its rows are only ever added', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END
    $$;
