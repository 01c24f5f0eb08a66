-- Description: the role that writes the statements of several tenants in one transaction, and the tenants it does it for
-- Breaking: no
-- Manual: no
-- Lock: exclusive-brief
-- progress: allow roles because the role is the product's own, and an operator may have made it before
-- progress: allow dynamic-sql because the logins that serve are only known where it runs

-- progress_ingest adds statements for the tenants that its transaction names, and for nobody else. It reads nothing of what is
-- stored but which ids are known and what agents, activities and verbs are called: pages are for progress_service, which
-- sees one tenant at a time. Whoever may serve may also write; a role of that name may be there from another database.
DO $$
DECLARE
    login text;
BEGIN
    BEGIN
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'progress_ingest') THEN
            CREATE ROLE progress_ingest NOLOGIN;
        END IF;
    EXCEPTION
        WHEN duplicate_object OR unique_violation THEN
            NULL;
        WHEN insufficient_privilege THEN
            RAISE EXCEPTION 'the role progress_ingest is not there, and % may not make it', current_user
                USING ERRCODE = 'insufficient_privilege',
                      HINT = pg_catalog.format('as an administrator: CREATE ROLE progress_ingest NOLOGIN; '
                          'GRANT progress_ingest TO %I WITH ADMIN OPTION', current_user);
    END;
    IF NOT pg_catalog.pg_has_role(current_user, 'progress_ingest', 'MEMBER') THEN
        GRANT progress_ingest TO CURRENT_USER;
    END IF;
    FOR login IN
        SELECT r.rolname FROM pg_catalog.pg_auth_members m
        JOIN pg_catalog.pg_roles r ON r.oid = m.member
        WHERE m.roleid = 'progress_service'::pg_catalog.regrole
          AND NOT pg_catalog.pg_has_role(m.member, 'progress_ingest', 'MEMBER')
        ORDER BY r.rolname
    LOOP
        BEGIN
            EXECUTE pg_catalog.format('GRANT progress_ingest TO %I', login);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'progress_ingest could not be granted to %; do it by hand', login;
        END;
    END LOOP;
END
$$;

-- The tenants of the transaction; NULL (and so no row at all) when none were set.
CREATE FUNCTION platform.current_tenants() RETURNS pg_catalog.uuid[]
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(pg_catalog.current_setting('app.tenant_ids', true), '')::pg_catalog.uuid[];
REVOKE ALL ON FUNCTION platform.current_tenants() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION platform.current_tenants() TO progress_ingest;
GRANT USAGE ON SCHEMA platform TO progress_ingest;

-- Who holds its units to cmi5's rules.
CREATE POLICY group_sees ON platform.tenants FOR SELECT TO progress_ingest
    USING ((tenant_id = ANY ((SELECT platform.current_tenants())::pg_catalog.uuid[])) IS TRUE);
GRANT SELECT (tenant_id, cmi5_strict) ON platform.tenants TO progress_ingest;
