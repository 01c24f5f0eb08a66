-- Description: a safe bound that never goes back, and that promises nothing the sequence does not remember
-- Breaking: no
-- Manual: no
-- Lock: none
-- progress: allow dangerous-call because reserve frees what it takes before it returns, and has nothing of the runner's
-- progress: allow sequence-value because reserve moves its own sequence, and only forwards

-- What holds, whatever clocks do and whenever the server dies:
--   1. The value of `ledger.clock` is the last microsecond that is spoken for. It only grows.
--   2. Before a transaction raises it, it takes a shared advisory lock on the microsecond after the value it found, and
--      keeps it to its end. All that it stores, it stores there or later.
--   3. No bound lies above the microsecond after the value, nor above such a lock. A commit is on the disk before its
--      locks are free, so the value that a bound relies on outlives the server.
-- Nothing here is planned as a read of the sequence: it has no index, so such a plan is priced as what must not be,
-- and a server that compiles what is dear compiles it for each session.

-- Reserves `wanted` consecutive microseconds for the calling transaction and answers the first. `stored` is thus
-- unique in the whole database and grows in the order of the calls, whatever clocks the nodes have.
CREATE OR REPLACE FUNCTION ledger.reserve(wanted bigint) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
    DECLARE
        past bigint;
        first bigint;
        done boolean;
    BEGIN
        -- Assignments, because plpgsql computes them by itself; PERFORM would make a query of each.
        done := pg_catalog.pg_advisory_lock(76301, 1) IS NULL;
        past := coalesce(pg_catalog.pg_sequence_last_value('ledger.clock'), 0);
        first := greatest((extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint, past + 1);
        -- Keys below those of 2010 are other people's locks.
        done := pg_catalog.pg_advisory_xact_lock_shared(greatest(past, 1288490188800000) + 1) IS NULL;
        past := pg_catalog.setval('ledger.clock', first + wanted - 1);
        done := pg_catalog.pg_advisory_unlock(76301, 1);
        RETURN first;
    END
    $$;

-- Every statement stored before this microsecond is visible or will never be. Read it before the data, in an earlier
-- statement. `seen` is an answer that the caller had before, or 0: where nobody has reserved since, it is still the answer.
CREATE FUNCTION ledger.settled(seen bigint) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
    DECLARE
        -- Read before the locks: whoever has raised it by now holds a lock, or has ended.
        past bigint := coalesce(pg_catalog.pg_sequence_last_value('ledger.clock'), 0);
        oldest bigint;
    BEGIN
        IF pg_catalog.pg_is_in_recovery() THEN
            -- A standby has no locks of the primary. But it knows the transaction of each raise that it has replayed.
            IF pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())
                < pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()) THEN
                RAISE EXCEPTION 'a standby cannot tell which statements are still being written while others are'
                    USING ERRCODE = 'read_only_sql_transaction';
            END IF;
            RETURN past + 1;
        END IF;
        IF past + 1 = seen THEN
            RETURN seen;
        END IF;
        SELECT pg_catalog.min((l.classid::bigint << 32) | l.objid::bigint) INTO oldest
        FROM pg_catalog.pg_locks l
        WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.mode = 'ShareLock' AND l.classid::bigint >= 300000
          AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database());
        RETURN least(past + 1, oldest);
    END
    $$;

-- The same after the sequence was raised to the present, where it lies more than a second behind: for a transaction of
-- its own, because until its end no later bound is given.
CREATE OR REPLACE FUNCTION ledger.safe_bound() RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
    DECLARE
        present bigint := (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint;
        past bigint := coalesce(pg_catalog.pg_sequence_last_value('ledger.clock'), 0);
        bound bigint;
        done boolean;
    BEGIN
        -- Whoever holds the lock is raising it as well.
        IF present - past < 1000000 OR pg_catalog.current_setting('transaction_read_only')::boolean
            OR NOT pg_catalog.pg_try_advisory_lock(76301, 1) THEN
            RETURN ledger.settled(0);
        END IF;
        past := coalesce(pg_catalog.pg_sequence_last_value('ledger.clock'), 0);
        bound := ledger.settled(0);
        IF present > past THEN
            done := pg_catalog.pg_advisory_xact_lock_shared(greatest(past, 1288490188800000) + 1) IS NULL;
            present := pg_catalog.setval('ledger.clock', present);
            -- Its own lock is for others: it stores nothing.
            IF bound = past + 1 THEN
                bound := present + 1;
            END IF;
        END IF;
        done := pg_catalog.pg_advisory_unlock(76301, 1);
        RETURN bound;
    END
    $$;

REVOKE ALL ON FUNCTION ledger.reserve(bigint), ledger.safe_bound(), ledger.settled(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.settled(bigint) TO progress_service, progress_worker;

-- Bounds given until now may lie above the sequence, as far as the present.
SELECT ledger.reserve(1);
