CREATE OR REPLACE FUNCTION platform.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
    BEGIN
        RAISE EXCEPTION '% on %.% is refused: its rows are only ever added', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END
    $$;
DROP POLICY IF EXISTS eraser ON platform.credentials;
DROP POLICY IF EXISTS removers ON platform.tenants;
DROP POLICY IF EXISTS removers ON platform.audit;
REVOKE ALL ON platform.credentials, platform.tenants, platform.audit, platform.leases FROM progress_eraser, progress_retention;
REVOKE ALL (expires_at) ON platform.leases FROM progress_eraser, progress_retention;
REVOKE ALL ON FUNCTION platform.current_tenant() FROM progress_eraser, progress_retention;
REVOKE USAGE ON SCHEMA platform FROM progress_eraser, progress_retention;
