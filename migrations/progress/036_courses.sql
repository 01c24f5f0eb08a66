-- Description: structures of courses, and registrations to look at because `satisfied` may be due
-- Breaking: no
-- Manual: no
-- Lock: none

CREATE TABLE progress.courses (
    tenant_id uuid NOT NULL,
    -- Made of the publisher's id, which may be longer than an index entry.
    key uuid NOT NULL,
    course_id text NOT NULL,
    -- As JSON: its units and blocks, by the publisher's ids.
    structure text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, key)
);

-- Which courses have a unit.
CREATE TABLE progress.course_units (
    tenant_id uuid NOT NULL,
    unit_key uuid NOT NULL,
    course_key uuid NOT NULL,
    PRIMARY KEY (tenant_id, unit_key, course_key)
);
CREATE INDEX course_units_by_course ON progress.course_units (tenant_id, course_key);

-- Attempts of which something was said since they were looked at last.
CREATE TABLE progress.satisfied_due (
    tenant_id uuid NOT NULL,
    attempt_id text NOT NULL,
    -- Up to when it was read. Grows when more is said.
    until timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, attempt_id)
);

ALTER TABLE progress.courses ENABLE ROW LEVEL SECURITY;
ALTER TABLE progress.courses FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON progress.courses TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()))
    WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON progress.courses FOR SELECT TO progress_worker USING (true);
GRANT SELECT, INSERT, UPDATE ON progress.courses TO progress_service;
GRANT SELECT ON progress.courses TO progress_worker;

ALTER TABLE progress.course_units ENABLE ROW LEVEL SECURITY;
ALTER TABLE progress.course_units FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON progress.course_units TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()))
    WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON progress.course_units FOR SELECT TO progress_worker USING (true);
GRANT SELECT, INSERT, DELETE ON progress.course_units TO progress_service;
GRANT SELECT ON progress.course_units TO progress_worker;

ALTER TABLE progress.satisfied_due ENABLE ROW LEVEL SECURITY;
ALTER TABLE progress.satisfied_due FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON progress.satisfied_due TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()))
    WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON progress.satisfied_due TO progress_worker USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON progress.satisfied_due TO progress_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON progress.satisfied_due TO progress_worker;
