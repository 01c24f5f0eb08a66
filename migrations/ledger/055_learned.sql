-- Description: what an erasure learned on the way stays with the request, so that whichever job comes next goes on with it
-- Breaking: no
-- Manual: no
-- Lock: exclusive-brief
-- Previous: serves

-- Attempts to fold again, contents and words to look for once statements that named them are gone. Of the person, as the subject is.
ALTER TABLE ledger.erasures ADD COLUMN learned jsonb;

-- Whichever release ends a request: nothing that was learned outlives it.
CREATE FUNCTION ledger.what_is_over_is_forgotten() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
    BEGIN
        NEW.learned := NULL;
        RETURN NEW;
    END
    $$;
REVOKE ALL ON FUNCTION ledger.what_is_over_is_forgotten() FROM PUBLIC;
CREATE TRIGGER what_is_over_is_forgotten BEFORE UPDATE ON ledger.erasures
    FOR EACH ROW WHEN (NEW.finished_at IS NOT NULL AND NEW.learned IS NOT NULL)
    EXECUTE FUNCTION ledger.what_is_over_is_forgotten();
