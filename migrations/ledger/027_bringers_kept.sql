-- Description: who brought which attachment is not emptied
-- Breaking: no
-- Manual: no
-- Lock: share

-- ALWAYS: a session in replica mode must not slip past it.
CREATE TRIGGER attachment_bringers_are_not_truncated BEFORE TRUNCATE ON ledger.attachment_bringers
    FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_change();
ALTER TABLE ledger.attachment_bringers ENABLE ALWAYS TRIGGER attachment_bringers_are_not_truncated;
