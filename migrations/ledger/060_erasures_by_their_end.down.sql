-- progress: allow definer-revoked because a function that is replaced keeps who may call it

CREATE OR REPLACE FUNCTION ledger.was_erased_since(of_month date, since bigint) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
    BEGIN
        RETURN EXISTS (SELECT FROM ledger.erasures e
                       WHERE e.stamp > since AND e.state = 'erased' AND of_month = ANY (e.months));
    END
    $$;
DROP FUNCTION IF EXISTS ledger.erasures_finished();
DROP TRIGGER IF EXISTS erasures_are_numbered_by_their_end ON ledger.erasures;
DROP FUNCTION IF EXISTS ledger.number_finished_erasure();
ALTER TABLE ledger.erasures DROP COLUMN IF EXISTS finished;
