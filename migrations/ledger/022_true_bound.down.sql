CREATE OR REPLACE FUNCTION ledger.reserve(wanted bigint) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
    DECLARE
        first bigint;
    BEGIN
        PERFORM pg_catalog.pg_advisory_lock(76301, 1);
        SELECT greatest((extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint, last_value + 1)
            INTO first FROM ledger.clock;
        PERFORM pg_catalog.pg_advisory_xact_lock_shared(first);
        PERFORM pg_catalog.setval('ledger.clock', first + wanted - 1);
        PERFORM pg_catalog.pg_advisory_unlock(76301, 1);
        RETURN first;
    END
    $$;

CREATE OR REPLACE FUNCTION ledger.safe_bound() RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
    DECLARE
        quiet bigint;
        oldest bigint;
    BEGIN
        PERFORM pg_catalog.pg_advisory_lock_shared(76301, 1);
        SELECT greatest((extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint, last_value + 1)
            INTO quiet FROM ledger.clock;
        SELECT pg_catalog.min((classid::bigint << 32) | objid::bigint) INTO oldest
        FROM pg_catalog.pg_locks
        WHERE locktype = 'advisory' AND objsubid = 1 AND mode = 'ShareLock' AND classid::bigint > 300000
          AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database());
        PERFORM pg_catalog.pg_advisory_unlock_shared(76301, 1);
        RETURN least(quiet, oldest);
    END
    $$;

DROP FUNCTION IF EXISTS ledger.settled(bigint);
