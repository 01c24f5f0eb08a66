-- Description: how many attempts the erased made, by course, where that tells of nobody
-- Breaking: no
-- Manual: no
-- Lock: none

-- Counts alone, and only of courses that enough people took: whoever adds to it makes sure of that.
CREATE TABLE progress.anonymous_counts (
    tenant_id uuid NOT NULL,
    course_id text NOT NULL,
    course_version_id text NOT NULL,
    -- `open` where the attempt had none.
    outcome text NOT NULL,
    attempts bigint NOT NULL,
    people bigint NOT NULL,
    PRIMARY KEY (tenant_id, course_id, course_version_id, outcome)
);
ALTER TABLE progress.anonymous_counts ENABLE ROW LEVEL SECURITY;
ALTER TABLE progress.anonymous_counts FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON progress.anonymous_counts FOR SELECT TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON progress.anonymous_counts TO progress_worker USING (true) WITH CHECK (true);
GRANT SELECT ON progress.anonymous_counts TO progress_service;
GRANT SELECT, INSERT, UPDATE ON progress.anonymous_counts TO progress_worker;

CREATE TRIGGER anonymous_counts_are_not_truncated BEFORE TRUNCATE ON progress.anonymous_counts
    FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_change();
ALTER TABLE progress.anonymous_counts ENABLE ALWAYS TRIGGER anonymous_counts_are_not_truncated;
