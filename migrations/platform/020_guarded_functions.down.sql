-- progress: allow function-search-path because these are the functions as the release before had them

-- What was taken from everybody on the database and on `public` stays taken: nothing of ours needs it.
GRANT EXECUTE ON FUNCTION platform.current_tenant(), platform.refuse_change() TO PUBLIC;
REVOKE EXECUTE ON FUNCTION platform.current_tenant() FROM progress_service, progress_worker;

ALTER FUNCTION platform.refuse_change() RESET search_path;
ALTER FUNCTION platform.signing_key(text) SET search_path = pg_catalog;
ALTER FUNCTION platform.find_credential(text) SET search_path = pg_catalog;

CREATE OR REPLACE FUNCTION platform.current_tenant() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT nullif(pg_catalog.current_setting('app.tenant_id', true), '')::uuid $$;
