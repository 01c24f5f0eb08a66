-- progress: allow function-search-path because these are the functions as the release before had them
-- progress: allow definer-revoked because functions that are replaced keep who may call them
CREATE OR REPLACE FUNCTION ledger.reserve(wanted bigint) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog
    AS $$
    DECLARE
        first bigint;
    BEGIN
        PERFORM pg_advisory_lock(76301, 1);
        SELECT greatest((extract(epoch FROM clock_timestamp()) * 1000000)::bigint, last_value + 1)
            INTO first FROM ledger.clock;
        PERFORM pg_advisory_xact_lock_shared(first);
        PERFORM setval('ledger.clock', first + wanted - 1);
        PERFORM pg_advisory_unlock(76301, 1);
        RETURN first;
    END
    $$;

CREATE OR REPLACE FUNCTION ledger.safe_bound() RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog
    AS $$
    DECLARE
        quiet bigint;
        oldest bigint;
    BEGIN
        -- Nobody reserves between these two reads, so whoever reserves later gets a later microsecond.
        PERFORM pg_advisory_lock_shared(76301, 1);
        SELECT greatest((extract(epoch FROM clock_timestamp()) * 1000000)::bigint, last_value + 1)
            INTO quiet FROM ledger.clock;
        SELECT min((classid::bigint << 32) | objid::bigint) INTO oldest
        FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 1 AND mode = 'ShareLock' AND classid::bigint > 300000
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
        PERFORM pg_advisory_unlock_shared(76301, 1);
        RETURN least(quiet, oldest);
    END
    $$;

DROP FUNCTION IF EXISTS ledger.settled(bigint);
