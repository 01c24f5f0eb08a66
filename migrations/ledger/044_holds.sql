-- Description: legal holds: what stands under one is not removed, also when the hold comes in the middle
-- Breaking: no
-- Manual: no
-- Lock: share
-- progress: allow two-tables because both triggers are a moment, in the order in which writers take these tables
-- progress: allow unseen-code because keep_from_truncation puts a trigger on the new tables, and nothing else

CREATE TABLE ledger.holds (
    tenant_id uuid NOT NULL,
    hold_id uuid NOT NULL,
    scope text NOT NULL CHECK (scope IN ('tenant', 'person', 'registration', 'course')),
    -- In every form in which the ledger has them: the lookup keys of whom or what it is about. Those of a person are emptied
    -- when the hold ends; what remains are the keyed hashes, by which it is known that it was this person.
    keys uuid[] NOT NULL CHECK (cardinality(keys) <= 40000),
    marks uuid[] NOT NULL CHECK (cardinality(marks) <= 10000),
    -- A course or a registration by its name; never a person's.
    named text CHECK (length(named) BETWEEN 1 AND 4000),
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 2000),
    law text NOT NULL CHECK (length(law) BETWEEN 1 AND 500),
    placed_by text NOT NULL CHECK (length(placed_by) BETWEEN 1 AND 500),
    placed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    released_by text CHECK (length(released_by) BETWEEN 1 AND 500),
    released_at timestamptz,
    release_reason text CHECK (length(release_reason) BETWEEN 1 AND 2000),
    PRIMARY KEY (tenant_id, hold_id),
    CHECK ((released_at IS NULL) = (released_by IS NULL) AND (released_at IS NULL) = (release_reason IS NULL)),
    CHECK ((scope IN ('course', 'registration')) = (named IS NOT NULL)),
    CHECK ((scope = 'tenant') = (cardinality(marks) = 0)),
    CHECK (scope = 'tenant' OR released_at IS NOT NULL OR cardinality(keys) > 0)
);
CREATE INDEX holds_standing ON ledger.holds (tenant_id) WHERE released_at IS NULL;

ALTER TABLE ledger.holds ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.holds FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON ledger.holds TO progress_service, progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant()))
    WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON ledger.holds FOR SELECT TO progress_worker USING (true);
CREATE POLICY definer_reads ON ledger.holds FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT ON ledger.holds TO progress_service, progress_worker, progress_eraser;
-- To end a hold is to let something be removed.
GRANT SELECT, INSERT, UPDATE (keys, released_by, released_at, release_reason) ON ledger.holds TO progress_retention;

CREATE FUNCTION ledger.holds_only_end() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
    BEGIN
        IF TG_OP = 'UPDATE' AND OLD.released_at IS NULL AND NEW.released_at IS NOT NULL
            AND (NEW.tenant_id, NEW.hold_id, NEW.scope, NEW.marks, NEW.named, NEW.reason, NEW.law, NEW.placed_by, NEW.placed_at)
                IS NOT DISTINCT FROM
                (OLD.tenant_id, OLD.hold_id, OLD.scope, OLD.marks, OLD.named, OLD.reason, OLD.law, OLD.placed_by, OLD.placed_at) THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION '% of a hold is refused: it is placed, and it ends once', TG_OP
            USING ERRCODE = 'insufficient_privilege';
    END
    $$;
CREATE TRIGGER holds_only_end BEFORE UPDATE OR DELETE ON ledger.holds
    FOR EACH ROW EXECUTE FUNCTION ledger.holds_only_end();
ALTER TABLE ledger.holds ENABLE ALWAYS TRIGGER holds_only_end;
SELECT ledger.keep_from_truncation('holds');

-- Whoever removes something of a tenant shares this lock from before it asks for holds until its end; whoever places one has it
-- alone. So a hold is placed either before the question or after the removal, and its answer says which.
CREATE FUNCTION ledger.share_holds(whose uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(76302, hashtext(whose::text)); END $$;
CREATE FUNCTION ledger.own_holds(whose uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$ BEGIN PERFORM pg_advisory_xact_lock(76302, hashtext(whose::text)); END $$;

-- Whom a hold was about, for who has the key: the same lookup key has always the same mark.
CREATE FUNCTION ledger.hold_marks(of_keys uuid[]) RETURNS uuid[]
    LANGUAGE sql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT coalesce(array_agg(encode(substr(sha256(s.key || uuid_send(k.key)), 1, 16), 'hex')::uuid ORDER BY k.key), '{}')
        FROM (SELECT platform.signing_key('holds')) AS s (key), unnest(of_keys) AS k (key)
    $$;

-- What stands under a hold stays, whoever removes by whatever SQL. A statement goes before its relations do.
CREATE FUNCTION ledger.keep_what_is_held() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
    DECLARE
        held record;
    BEGIN
        PERFORM ledger.share_holds(OLD.tenant_id);
        FOR held IN SELECT h.hold_id, h.scope, h.keys FROM ledger.holds h
                    WHERE h.tenant_id = OLD.tenant_id AND h.released_at IS NULL LOOP
            IF held.scope = 'tenant' OR OLD.agent_key = ANY (held.keys) OR OLD.activity_key = ANY (held.keys)
                OR OLD.registration_key = ANY (held.keys)
                OR EXISTS (SELECT FROM ledger.relations r
                           WHERE r.key = ANY (held.keys) AND r.stored = OLD.stored AND r.tenant_id = OLD.tenant_id)
                OR EXISTS (SELECT FROM ledger.detached_relations r
                           WHERE r.key = ANY (held.keys) AND r.stored = OLD.stored AND r.tenant_id = OLD.tenant_id) THEN
                RAISE EXCEPTION 'a statement stands under the hold %: it is not removed', held.hold_id
                    USING ERRCODE = 'object_in_use';
            END IF;
        END LOOP;
        RETURN OLD;
    END
    $$;
CREATE TRIGGER what_is_held_stays BEFORE DELETE ON ledger.statements
    FOR EACH ROW EXECUTE FUNCTION ledger.keep_what_is_held();
CREATE TRIGGER what_is_held_stays BEFORE DELETE ON ledger.detached_statements
    FOR EACH ROW EXECUTE FUNCTION ledger.keep_what_is_held();

REVOKE ALL ON FUNCTION ledger.holds_only_end(), ledger.keep_what_is_held(), ledger.share_holds(uuid), ledger.own_holds(uuid),
    ledger.hold_marks(uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.share_holds(uuid) TO progress_eraser, progress_retention, progress_worker;
GRANT EXECUTE ON FUNCTION ledger.own_holds(uuid), ledger.hold_marks(uuid[]) TO progress_retention;
