-- Description: months out of the queries' way: parents of their own, with the columns, indexes and guards of the ledger's
-- Breaking: no
-- Manual: no
-- Lock: none

-- A month that is detached, or archived with its table still here. In one transaction it leaves `statements` and joins this one, so
-- that it is never nowhere, nobody is granted a month itself, and the policy of the parent holds. Every column, index and
-- policy that `statements` gets, this one gets as well: a month without them could not go from one to the other at once.
CREATE TABLE ledger.detached_statements (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    stored timestamptz NOT NULL,
    occurred timestamptz,
    verb_key uuid NOT NULL,
    agent_key uuid,
    activity_key uuid,
    registration_key uuid,
    refers_to uuid,
    voiding boolean NOT NULL,
    converts boolean NOT NULL,
    payload text NOT NULL
) PARTITION BY RANGE (stored);

CREATE INDEX detached_statements_by_stored ON ledger.detached_statements (tenant_id, stored);
CREATE INDEX detached_statements_by_verb ON ledger.detached_statements (verb_key, stored);
CREATE INDEX detached_statements_by_agent ON ledger.detached_statements (agent_key, stored);
CREATE INDEX detached_statements_by_activity ON ledger.detached_statements (activity_key, stored);
CREATE INDEX detached_statements_by_registration ON ledger.detached_statements (registration_key, stored)
    WHERE registration_key IS NOT NULL;

CREATE TABLE ledger.detached_relations (
    tenant_id uuid NOT NULL,
    key uuid NOT NULL,
    stored timestamptz NOT NULL
) PARTITION BY RANGE (stored);

CREATE INDEX detached_relations_by_key ON ledger.detached_relations (key, stored);

ALTER TABLE ledger.detached_statements ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.detached_statements FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON ledger.detached_statements FOR SELECT TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON ledger.detached_statements FOR SELECT TO progress_worker USING (true);
-- What removes a month looks first whether all of it is in the archive.
CREATE POLICY definer_reads ON ledger.detached_statements FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT ON ledger.detached_statements TO progress_service, progress_worker;

ALTER TABLE ledger.detached_relations ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.detached_relations FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON ledger.detached_relations FOR SELECT TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON ledger.detached_relations FOR SELECT TO progress_worker USING (true);
GRANT SELECT ON ledger.detached_relations TO progress_service, progress_worker;

CREATE TRIGGER statements_are_append_only BEFORE UPDATE OR DELETE ON ledger.detached_statements
    FOR EACH ROW EXECUTE FUNCTION platform.refuse_change();
ALTER TABLE ledger.detached_statements ENABLE ALWAYS TRIGGER statements_are_append_only;
CREATE TRIGGER is_not_truncated BEFORE TRUNCATE ON ledger.detached_statements
    FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_change();
ALTER TABLE ledger.detached_statements ENABLE ALWAYS TRIGGER is_not_truncated;
CREATE TRIGGER is_not_truncated BEFORE TRUNCATE ON ledger.detached_relations
    FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_change();
ALTER TABLE ledger.detached_relations ENABLE ALWAYS TRIGGER is_not_truncated;
