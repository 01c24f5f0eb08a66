-- Description: erasures are numbered by their end too, so that one that waits for a law makes no copy of a month look unclean
-- Breaking: no
-- Manual: no
-- Lock: exclusive-brief
-- Previous: serves
-- progress: allow definer-revoked because a function that is replaced keeps who may call it

-- In the order in which they ended, from the same counter as the stamps: greater than the stamp of whatever was asked for before. Absent
-- of those that ended before there was this column; their stamp stands for it.
ALTER TABLE ledger.erasures ADD COLUMN finished bigint;

CREATE FUNCTION ledger.number_finished_erasure() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
    BEGIN
        NEW.finished := nextval(pg_get_serial_sequence('ledger.erasures', 'stamp'));
        RETURN NEW;
    END
    $$;
REVOKE ALL ON FUNCTION ledger.number_finished_erasure() FROM PUBLIC;
CREATE TRIGGER erasures_are_numbered_by_their_end BEFORE UPDATE ON ledger.erasures FOR EACH ROW
    WHEN (NEW.state = 'erased' AND OLD.state <> 'erased') EXECUTE FUNCTION ledger.number_finished_erasure();
ALTER TABLE ledger.erasures ENABLE ALWAYS TRIGGER erasures_are_numbered_by_their_end;

-- The number of the last one that has ended: what is copied from here on is clean of all that have.
CREATE FUNCTION ledger.erasures_finished() RETURNS bigint
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
    BEGIN
        RETURN coalesce((SELECT max(coalesce(e.finished, e.stamp)) FROM ledger.erasures e WHERE e.state = 'erased'), 0);
    END
    $$;
REVOKE ALL ON FUNCTION ledger.erasures_finished() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.erasures_finished() TO progress_worker;

-- A copy that was begun with a stamp is at most as clean as that: numbers of ends are greater than it.
CREATE OR REPLACE FUNCTION ledger.was_erased_since(of_month date, since bigint) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
    BEGIN
        RETURN EXISTS (SELECT FROM ledger.erasures e
                       WHERE coalesce(e.finished, e.stamp) > since AND e.state = 'erased' AND of_month = ANY (e.months));
    END
    $$;
