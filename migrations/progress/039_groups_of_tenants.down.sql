REVOKE SELECT, INSERT ON progress.cmi5_marks FROM progress_ingest;
DROP POLICY IF EXISTS group_sees ON progress.cmi5_marks;
DROP POLICY IF EXISTS group_adds ON progress.cmi5_marks;
REVOKE USAGE ON SCHEMA progress FROM progress_ingest;
