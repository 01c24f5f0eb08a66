-- The group roles stay: other databases of the same server may use them.
DROP TABLE IF EXISTS platform.tenants;
DROP FUNCTION IF EXISTS platform.current_tenant();
REVOKE USAGE ON SCHEMA platform FROM progress_service, progress_worker;
