-- Description: what erasure and retention may remove of what is made out of statements, of one tenant at a time
-- Breaking: no
-- Manual: no
-- Lock: exclusive-brief
-- progress: allow two-tables because each policy is a moment, in the order in which the projections take these tables

GRANT USAGE ON SCHEMA progress TO progress_eraser, progress_retention;
GRANT SELECT, DELETE ON progress.attempt_names, progress.attempt_statements, progress.attempts, progress.completion_records,
    progress.scores, progress.outbox, progress.attempt_closures, progress.silences, progress.cmi5_marks,
    progress.satisfied_due TO progress_eraser, progress_retention;
GRANT INSERT, UPDATE ON progress.attempt_names, progress.attempt_statements, progress.attempts, progress.completion_records,
    progress.scores, progress.outbox TO progress_eraser;
GRANT SELECT, DELETE ON progress.told_events, progress.inbox TO progress_eraser;
GRANT SELECT, UPDATE, DELETE ON progress.saga_requests TO progress_eraser;

CREATE POLICY removers ON progress.attempt_names TO progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON progress.attempt_statements TO progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON progress.attempts TO progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON progress.completion_records TO progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON progress.scores TO progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON progress.outbox TO progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON progress.attempt_closures TO progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON progress.silences TO progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON progress.cmi5_marks TO progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON progress.satisfied_due TO progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON progress.told_events TO progress_eraser
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON progress.inbox TO progress_eraser
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY removers ON progress.saga_requests TO progress_eraser
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
