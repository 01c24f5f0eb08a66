-- Description: the ledger's clock, which gives every statement of the database its own microsecond
-- Breaking: no
-- Manual: no
-- Lock: none

GRANT USAGE ON SCHEMA ledger TO progress_service, progress_worker;

-- The last microsecond handed out. A sequence, because its value survives a rollback and never goes back.
CREATE SEQUENCE ledger.clock AS bigint MINVALUE 0 START 0;

-- Reserves `wanted` consecutive microseconds for the calling transaction and answers the first. `stored` is thus
-- unique in the whole database and grows in the order of the calls, whatever clocks the nodes have.
-- The transaction stays registered (a shared advisory lock on its first microsecond) until it ends: see safe_bound.
CREATE FUNCTION ledger.reserve(wanted bigint) RETURNS bigint
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

-- Every statement stored before this microsecond is visible or will never be: the transactions that could still
-- add one are the registered ones. Read it before the data, in an earlier statement.
CREATE FUNCTION ledger.safe_bound() RETURNS bigint
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

REVOKE ALL ON FUNCTION ledger.reserve(bigint), ledger.safe_bound() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.reserve(bigint) TO progress_service, progress_worker;
GRANT EXECUTE ON FUNCTION ledger.safe_bound() TO progress_service, progress_worker;

CREATE FUNCTION ledger.moment(micros bigint) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT 'epoch'::timestamptz + micros * interval '1 microsecond' $$;
