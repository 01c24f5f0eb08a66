-- Description: what was said of cmi5 sessions and units, for the role that writes for several tenants at once
-- Breaking: no
-- Manual: no
-- Lock: exclusive-brief

GRANT USAGE ON SCHEMA progress TO progress_ingest;
CREATE POLICY group_adds ON progress.cmi5_marks FOR INSERT TO progress_ingest
    WITH CHECK (tenant_id = ANY ((SELECT platform.current_tenants())::pg_catalog.uuid[]));
CREATE POLICY group_sees ON progress.cmi5_marks FOR SELECT TO progress_ingest
    USING ((tenant_id = ANY ((SELECT platform.current_tenants())::pg_catalog.uuid[])) IS TRUE);
GRANT SELECT, INSERT ON progress.cmi5_marks TO progress_ingest;
