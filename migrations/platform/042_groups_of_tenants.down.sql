-- The group role stays: other databases of the same server may use it.
REVOKE SELECT (tenant_id, cmi5_strict) ON platform.tenants FROM progress_ingest;
DROP POLICY IF EXISTS group_sees ON platform.tenants;
DROP FUNCTION IF EXISTS platform.current_tenants();
REVOKE USAGE ON SCHEMA platform FROM progress_ingest;
