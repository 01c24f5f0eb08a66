-- Description: functions and rights that hold against whoever may make temporary objects
-- Breaking: no
-- Manual: no
-- Lock: none
-- progress: allow dynamic-sql because the name of the database is only known where it runs
-- progress: allow other-module because everybody may create in public of databases that are older than PostgreSQL 15

-- A temporary table or type is found before one of the system's own, unless the search path says otherwise. A function
-- that runs with its owner's rights would then run a stranger's code with them.

-- Read once, here: it means the same whatever the search path of a session is, and is still written into each query
-- that compares a tenant instead of being called by it.
CREATE OR REPLACE FUNCTION platform.current_tenant() RETURNS pg_catalog.uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(pg_catalog.current_setting('app.tenant_id', true), '')::pg_catalog.uuid;

ALTER FUNCTION platform.find_credential(text) SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION platform.signing_key(text) SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION platform.refuse_change() SET search_path = pg_catalog, pg_temp;

REVOKE ALL ON FUNCTION platform.current_tenant(), platform.refuse_change() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION platform.current_tenant() TO progress_service, progress_worker;

-- What belongs to somebody else is left to them; the checks of the rights tell what is still open.
DO $$
DECLARE
    owner_of_all oid := (SELECT datdba FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database());
    owner_of_public oid := (SELECT nspowner FROM pg_catalog.pg_namespace WHERE nspname = 'public');
BEGIN
    IF pg_catalog.pg_has_role(current_user, owner_of_all, 'USAGE') THEN
        EXECUTE pg_catalog.format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC, progress_service, progress_worker',
            pg_catalog.current_database());
    END IF;
    IF pg_catalog.pg_has_role(current_user, owner_of_public, 'USAGE') THEN
        REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    END IF;
END
$$;
