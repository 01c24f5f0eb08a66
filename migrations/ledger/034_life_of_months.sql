-- Description: the life of a month: sealed, detached, archived, dropped, and back
-- Breaking: no
-- Manual: no
-- Lock: exclusive-brief
-- progress: allow dynamic-sql because months have other names in each database, and each name comes from the catalog

-- Since when it is what it is; unknown of months from before.
ALTER TABLE ledger.partitions
    ADD COLUMN changed_at timestamptz,
    -- Brought back by hand: the schedule leaves it where it is.
    ADD COLUMN held boolean NOT NULL DEFAULT false;

CREATE FUNCTION ledger.note_change_of_month() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
    BEGIN
        IF NEW.state <> OLD.state THEN
            NEW.changed_at := clock_timestamp();
        END IF;
        RETURN NEW;
    END
    $$;
CREATE TRIGGER change_is_noted BEFORE UPDATE ON ledger.partitions
    FOR EACH ROW EXECUTE FUNCTION ledger.note_change_of_month();

-- The partitions of a parent that lie in a month, and within which bounds; several where a month is divided.
CREATE FUNCTION ledger.pieces_of_month(parent text, lower_end timestamptz, upper_end timestamptz)
    RETURNS TABLE (piece text, bounds text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET datestyle = 'ISO'
    AS $$
        SELECT c.relname::text, b.bounds
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        CROSS JOIN LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid)) AS b (bounds)
        WHERE i.inhparent = format('ledger.%I', parent)::regclass
          AND substring(b.bounds FROM $re$FROM \('([^']+)'\)$re$)::timestamptz >= lower_end
          AND substring(b.bounds FROM $re$FROM \('([^']+)'\)$re$)::timestamptz < upper_end
        ORDER BY c.relname
    $$;

-- Moves a month from one pair of parents to the other, in the order in which everybody else takes these tables. Its CHECK
-- `bounds` and its indexes spare every look at its rows.
CREATE FUNCTION ledger.move_month(lower_end timestamptz, upper_end timestamptz, leaves text, joins text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET datestyle = 'ISO'
    AS $$
    DECLARE
        kept text;
        part record;
    BEGIN
        FOREACH kept IN ARRAY ARRAY['statements', 'relations'] LOOP
            FOR part IN SELECT p.piece, p.bounds FROM ledger.pieces_of_month(leaves || kept, lower_end, upper_end) p LOOP
                EXECUTE format('ALTER TABLE ledger.%I DETACH PARTITION ledger.%I', leaves || kept, part.piece);
                EXECUTE format('ALTER TABLE ledger.%I ATTACH PARTITION ledger.%I %s', joins || kept, part.piece, part.bounds);
            END LOOP;
        END LOOP;
    END
    $$;

-- Whether every tenant that has statements in a month that is detached has a published segment of it, of this installation and
-- epoch, from its first statement to its last.
CREATE FUNCTION ledger.month_is_published(lower_end timestamptz, upper_end timestamptz) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    AS $$
    DECLARE
        whose uuid;
        seen uuid := '00000000-0000-0000-0000-000000000000';
    BEGIN
        LOOP
            SELECT s.tenant_id INTO whose FROM ledger.detached_statements s
                WHERE s.tenant_id > seen AND s.stored >= lower_end AND s.stored < upper_end
                ORDER BY s.tenant_id LIMIT 1;
            EXIT WHEN whose IS NULL;
            IF NOT EXISTS (
                SELECT FROM ledger.segments g JOIN platform.installation i USING (installation_id, epoch)
                WHERE g.tenant_id = whose AND g.month = lower_end::date AND g.state = 'published'
                  AND g.first_stored = (SELECT min(s.stored) FROM ledger.detached_statements s
                      WHERE s.tenant_id = whose AND s.stored >= lower_end AND s.stored < upper_end)
                  AND g.last_stored = (SELECT max(s.stored) FROM ledger.detached_statements s
                      WHERE s.tenant_id = whose AND s.stored >= lower_end AND s.stored < upper_end)
            ) THEN
                RETURN false;
            END IF;
            seen := whose;
        END LOOP;
        RETURN true;
    END
    $$;

-- Each of these changes a month that is in the state it comes from, and in any case answers in which state it is then; NULL where
-- there is no such month. Whoever cannot have a lock soon gives way: others would queue up behind it.

-- From open: nothing is stored in it any more. What has to be past it besides, the caller knows.
CREATE FUNCTION ledger.seal_month(moment timestamptz) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET lock_timeout = '25ms'
    AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock(76301, 2);
        UPDATE ledger.partitions p SET state = 'sealed'
            WHERE p.month = date_trunc('month', moment)::date AND p.state = 'open'
              AND p.upper_bound <= ledger.moment(ledger.settled(0));
        RETURN (SELECT p.state FROM ledger.partitions p WHERE p.month = date_trunc('month', moment)::date);
    END
    $$;

-- From sealed: out of the queries' way.
CREATE FUNCTION ledger.detach_month(moment timestamptz) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET lock_timeout = '25ms'
    AS $$
    DECLARE
        it ledger.partitions;
    BEGIN
        PERFORM pg_advisory_xact_lock(76301, 2);
        UPDATE ledger.partitions p SET state = 'detached', held = false
            WHERE p.month = date_trunc('month', moment)::date AND p.state = 'sealed' RETURNING p.* INTO it;
        IF FOUND THEN
            PERFORM ledger.move_month(it.lower_bound, it.upper_bound, '', 'detached_');
        END IF;
        RETURN (SELECT p.state FROM ledger.partitions p WHERE p.month = date_trunc('month', moment)::date);
    END
    $$;

-- From detached, or archived with its table still here: back among those that every query reads.
CREATE FUNCTION ledger.attach_month(moment timestamptz) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET lock_timeout = '25ms'
    AS $$
    DECLARE
        it ledger.partitions;
    BEGIN
        PERFORM pg_advisory_xact_lock(76301, 2);
        UPDATE ledger.partitions p SET state = 'sealed', held = true
            WHERE p.month = date_trunc('month', moment)::date AND p.state IN ('detached', 'archived') RETURNING p.* INTO it;
        IF FOUND THEN
            -- ATTACH alone waits for no reader: one that has read these without the month is told of it before it comes back.
            LOCK TABLE ONLY ledger.statements, ONLY ledger.relations IN ACCESS EXCLUSIVE MODE;
            PERFORM ledger.move_month(it.lower_bound, it.upper_bound, 'detached_', '');
        END IF;
        RETURN (SELECT p.state FROM ledger.partitions p WHERE p.month = date_trunc('month', moment)::date);
    END
    $$;

-- From detached: all of it is published. The table is still here.
CREATE FUNCTION ledger.archive_month(moment timestamptz) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET lock_timeout = '25ms'
    AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock(76301, 2);
        UPDATE ledger.partitions p SET state = 'archived'
            WHERE p.month = date_trunc('month', moment)::date AND p.state = 'detached'
              AND ledger.month_is_published(p.lower_bound, p.upper_bound);
        RETURN (SELECT p.state FROM ledger.partitions p WHERE p.month = date_trunc('month', moment)::date);
    END
    $$;

-- From archived: the table goes, the segments stay.
CREATE FUNCTION ledger.drop_month(moment timestamptz) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET lock_timeout = '25ms'
    AS $$
    DECLARE
        it ledger.partitions;
        kept text;
        part text;
    BEGIN
        PERFORM pg_advisory_xact_lock(76301, 2);
        UPDATE ledger.partitions p SET state = 'dropped'
            WHERE p.month = date_trunc('month', moment)::date AND p.state = 'archived'
              AND ledger.month_is_published(p.lower_bound, p.upper_bound) RETURNING p.* INTO it;
        IF FOUND THEN
            FOREACH kept IN ARRAY ARRAY['detached_statements', 'detached_relations'] LOOP
                FOR part IN SELECT p.piece FROM ledger.pieces_of_month(kept, it.lower_bound, it.upper_bound) p LOOP
                    EXECUTE format('DROP TABLE ledger.%I', part);
                END LOOP;
            END LOOP;
        END IF;
        RETURN (SELECT p.state FROM ledger.partitions p WHERE p.month = date_trunc('month', moment)::date);
    END
    $$;

-- Finds the relations of a month that is detached by tenant and moment, as it is read from end to end. Nobody writes to it, so
-- nobody waits for this.
CREATE FUNCTION ledger.ready_month_for_reading(moment timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET lock_timeout = '2s'
    AS $$
    DECLARE
        part text;
    BEGIN
        FOR part IN
            SELECT o.piece FROM ledger.partitions p
            CROSS JOIN LATERAL ledger.pieces_of_month('detached_relations', p.lower_bound, p.upper_bound) o
            WHERE p.month = date_trunc('month', moment)::date
        LOOP
            EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON ledger.%I (tenant_id, stored)', part || '_by_stored', part);
        END LOOP;
    END
    $$;

-- Ends what somebody began with DETACH … CONCURRENTLY and left half-way, where new queries see nothing of the month any more: it is
-- put back where its row says that it is. Answers how many tables that were.
CREATE FUNCTION ledger.finish_detaching() RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET datestyle = 'ISO'
    SET lock_timeout = '2s'
    AS $$
    DECLARE
        pending record;
        finished bigint := 0;
    BEGIN
        PERFORM pg_advisory_xact_lock(76301, 2);
        FOR pending IN
            SELECT parent.relname AS parent, child.relname AS child, pg_get_expr(child.relpartbound, child.oid) AS bounds
            FROM pg_inherits i JOIN pg_class parent ON parent.oid = i.inhparent JOIN pg_class child ON child.oid = i.inhrelid
            WHERE i.inhdetachpending AND parent.relnamespace = 'ledger'::regnamespace
              AND parent.relname IN ('statements', 'relations', 'detached_statements', 'detached_relations')
        LOOP
            EXECUTE format('ALTER TABLE ledger.%I DETACH PARTITION ledger.%I FINALIZE', pending.parent, pending.child);
            EXECUTE format('ALTER TABLE ledger.%I ATTACH PARTITION ledger.%I %s', pending.parent, pending.child, pending.bounds);
            finished := finished + 1;
        END LOOP;
        RETURN finished;
    END
    $$;

REVOKE ALL ON FUNCTION ledger.note_change_of_month(), ledger.pieces_of_month(text, timestamptz, timestamptz),
    ledger.move_month(timestamptz, timestamptz, text, text), ledger.month_is_published(timestamptz, timestamptz),
    ledger.seal_month(timestamptz), ledger.detach_month(timestamptz), ledger.attach_month(timestamptz),
    ledger.archive_month(timestamptz), ledger.drop_month(timestamptz), ledger.ready_month_for_reading(timestamptz),
    ledger.finish_detaching() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.seal_month(timestamptz), ledger.detach_month(timestamptz), ledger.attach_month(timestamptz),
    ledger.archive_month(timestamptz), ledger.drop_month(timestamptz), ledger.ready_month_for_reading(timestamptz),
    ledger.finish_detaching() TO progress_worker;
