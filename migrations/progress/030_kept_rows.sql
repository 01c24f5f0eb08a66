-- Description: what no replay of the ledger brings back is not emptied
-- Breaking: no
-- Manual: no
-- Lock: share
-- progress: allow two-tables because each trigger is a moment, and the tables are short or rarely written

-- ALWAYS: a session in replica mode must not slip past them.
CREATE TRIGGER verbs_are_not_truncated BEFORE TRUNCATE ON progress.verbs
    FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_change();
ALTER TABLE progress.verbs ENABLE ALWAYS TRIGGER verbs_are_not_truncated;

CREATE TRIGGER extension_namespaces_are_not_truncated BEFORE TRUNCATE ON progress.extension_namespaces
    FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_change();
ALTER TABLE progress.extension_namespaces ENABLE ALWAYS TRIGGER extension_namespaces_are_not_truncated;

CREATE TRIGGER attempt_closures_are_not_truncated BEFORE TRUNCATE ON progress.attempt_closures
    FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_change();
ALTER TABLE progress.attempt_closures ENABLE ALWAYS TRIGGER attempt_closures_are_not_truncated;

CREATE TRIGGER inbox_is_not_truncated BEFORE TRUNCATE ON progress.inbox
    FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_change();
ALTER TABLE progress.inbox ENABLE ALWAYS TRIGGER inbox_is_not_truncated;

CREATE TRIGGER saga_requests_are_not_truncated BEFORE TRUNCATE ON progress.saga_requests
    FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_change();
ALTER TABLE progress.saga_requests ENABLE ALWAYS TRIGGER saga_requests_are_not_truncated;
