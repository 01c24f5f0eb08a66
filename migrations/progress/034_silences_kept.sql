-- Description: silences, which no replay of the ledger brings back, are not emptied
-- Breaking: no
-- Manual: no
-- Lock: share

CREATE TRIGGER silences_are_not_truncated BEFORE TRUNCATE ON progress.silences
    FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_change();
ALTER TABLE progress.silences ENABLE ALWAYS TRIGGER silences_are_not_truncated;
