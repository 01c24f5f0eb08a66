-- Description: how much was done on each day, by verb and course, and who was active on which day
-- Breaking: no
-- Manual: no
-- Lock: none
-- Previous: serves

-- Statements that stand, by the day (UTC) on which they were stored. Counts alone: a row that nothing is counted in is not there.
CREATE TABLE progress.activity (
    tenant_id uuid NOT NULL,
    day date NOT NULL,
    -- As `ledger.verbs_seen` has it.
    verb_key uuid NOT NULL,
    -- Of the attempt that the statement belongs to; empty where it belongs to none.
    course_id text NOT NULL,
    statements bigint NOT NULL CHECK (statements > 0),
    PRIMARY KEY (tenant_id, day, verb_key, course_id)
);

-- Who did something on which day, of the last days alone: as many rows as there were people, whatever they did.
CREATE TABLE progress.learner_days (
    tenant_id uuid NOT NULL,
    day date NOT NULL,
    -- The lookup key under which the ledger has the actor.
    learner uuid NOT NULL,
    PRIMARY KEY (tenant_id, day, learner)
);

-- Statements of archived months that were voided: they are taken off once somebody has read their month.
CREATE TABLE progress.activity_due (
    tenant_id uuid NOT NULL,
    statement_id uuid NOT NULL,
    stored timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, statement_id)
);

-- What of each tenant is counted: everything that was stored after `since` and up to `until`. Where the projections have come
-- further without counting, as a node of the release before does, it begins anew.
CREATE TABLE progress.activity_counted (
    tenant_id uuid PRIMARY KEY,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL
);

ALTER TABLE progress.activity ENABLE ROW LEVEL SECURITY;
ALTER TABLE progress.activity FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON progress.activity FOR SELECT TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON progress.activity TO progress_worker USING (true) WITH CHECK (true);
GRANT SELECT ON progress.activity TO progress_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON progress.activity TO progress_worker;

ALTER TABLE progress.learner_days ENABLE ROW LEVEL SECURITY;
ALTER TABLE progress.learner_days FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON progress.learner_days FOR SELECT TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON progress.learner_days TO progress_worker USING (true) WITH CHECK (true);
GRANT SELECT ON progress.learner_days TO progress_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON progress.learner_days TO progress_worker;

ALTER TABLE progress.activity_due ENABLE ROW LEVEL SECURITY;
ALTER TABLE progress.activity_due FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON progress.activity_due FOR SELECT TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON progress.activity_due TO progress_worker USING (true) WITH CHECK (true);
GRANT SELECT ON progress.activity_due TO progress_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON progress.activity_due TO progress_worker;

ALTER TABLE progress.activity_counted ENABLE ROW LEVEL SECURITY;
ALTER TABLE progress.activity_counted FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON progress.activity_counted FOR SELECT TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON progress.activity_counted TO progress_worker USING (true) WITH CHECK (true);
GRANT SELECT ON progress.activity_counted TO progress_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON progress.activity_counted TO progress_worker;

-- Whoever is being erased is counted nowhere.
CREATE POLICY not_hidden ON progress.learner_days AS RESTRICTIVE FOR SELECT TO progress_service
    USING (learner NOT IN (SELECT h.agent_key FROM ledger.hidden_persons h
                           WHERE h.agent_key IS NOT NULL AND h.tenant_id = (SELECT platform.current_tenant())));
-- What goes by its age takes the days along on which it was done.
CREATE POLICY removers ON progress.learner_days TO progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
GRANT SELECT, DELETE ON progress.learner_days TO progress_retention;
