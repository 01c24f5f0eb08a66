-- Description: how long what is kept and when it goes: classes, rules with their history, sign-offs, and what is marked to go
-- Breaking: no
-- Manual: no
-- Lock: none
-- progress: allow unseen-code because keep_from_truncation puts a trigger on the new tables, and nothing else

-- A class of retention is a row. What keeps longer because a law says so is shortened by two persons only.
CREATE TABLE ledger.retention_classes (
    class text PRIMARY KEY CHECK (class ~ '^[a-z][a-z0-9-]{0,62}$'),
    needs_sign_off boolean NOT NULL,
    about text NOT NULL CHECK (length(about) BETWEEN 1 AND 1000),
    added_by text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO ledger.retention_classes (class, needs_sign_off, about, added_by) VALUES
    ('standard', false, 'kept until a rule says otherwise', 'the service'),
    ('regulated', true, 'kept for as long as a law asks; shortened by two persons only', 'the service');

-- What is to be shortened, as it was shown to who asked for it; its digest is what the other person signs.
CREATE TABLE ledger.retention_requests (
    digest text PRIMARY KEY CHECK (digest = encode(sha256(convert_to(plan::text, 'UTF8')), 'hex')),
    tenant_id uuid,
    plan jsonb NOT NULL,
    requested_by text NOT NULL CHECK (length(requested_by) BETWEEN 1 AND 500),
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (digest, requested_by)
);
CREATE TABLE ledger.retention_sign_offs (
    digest text PRIMARY KEY,
    tenant_id uuid,
    requested_by text NOT NULL,
    signed_by text NOT NULL CHECK (length(signed_by) BETWEEN 1 AND 500),
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 2000),
    signed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (digest, requested_by) REFERENCES ledger.retention_requests (digest, requested_by),
    CONSTRAINT signed_by_another CHECK (lower(btrim(signed_by)) <> lower(btrim(requested_by)))
);

-- Every change of a rule is a row; the newest of its kind is in force, and with neither number it is taken away.
CREATE TABLE ledger.retention_rules (
    number bigint NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Absent: for every tenant of the class.
    tenant_id uuid,
    class text NOT NULL REFERENCES ledger.retention_classes,
    covers text NOT NULL CHECK (covers IN ('statements', 'documents', 'attachments', 'attempts', 'events')),
    -- Absent: whatever course it is of.
    course text CHECK (length(course) BETWEEN 1 AND 4000),
    course_key uuid,
    starts text NOT NULL CHECK (starts IN ('stored', 'withdrawn')),
    keep_days integer CHECK (keep_days BETWEEN 1 AND 73050),
    delete_days integer CHECK (delete_days BETWEEN 1 AND 73050),
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 2000),
    set_by text NOT NULL CHECK (length(set_by) BETWEEN 1 AND 500),
    set_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    signed_off text UNIQUE REFERENCES ledger.retention_sign_offs,
    CHECK ((course IS NULL) = (course_key IS NULL)),
    CHECK (course IS NULL OR tenant_id IS NOT NULL),
    CHECK (starts = 'stored' OR course IS NOT NULL),
    CHECK (course IS NULL OR covers = 'statements')
);
INSERT INTO ledger.retention_rules (class, covers, starts, keep_days, reason, set_by)
    SELECT 'regulated', place, 'stored', 2557, 'seven years', 'the service'
    FROM unnest(ARRAY['statements', 'documents', 'attachments', 'attempts', 'events']) AS place;

-- Which class a tenant is of: the newest row; without one `standard`.
CREATE TABLE ledger.retention_assignments (
    number bigint NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id uuid NOT NULL,
    class text NOT NULL REFERENCES ledger.retention_classes,
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 2000),
    set_by text NOT NULL CHECK (length(set_by) BETWEEN 1 AND 500),
    set_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    signed_off text UNIQUE REFERENCES ledger.retention_sign_offs
);
CREATE INDEX retention_assignments_by_tenant ON ledger.retention_assignments (tenant_id, number);

-- When a course was withdrawn: what a rule may start with.
CREATE TABLE ledger.course_ends (
    tenant_id uuid NOT NULL,
    course_key uuid NOT NULL,
    course text NOT NULL,
    withdrawn_at timestamptz NOT NULL,
    noted_by text NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, course_key)
);

-- What is marked to go, and what went. Marking removes nothing.
CREATE TABLE ledger.removals (
    tenant_id uuid NOT NULL,
    removal_id uuid NOT NULL,
    place text NOT NULL,
    month date,
    revision integer,
    course_key uuid,
    -- All of it was stored up to here.
    until timestamptz NOT NULL,
    rule bigint NOT NULL,
    principle text NOT NULL,
    plan_digest text NOT NULL,
    marked_by text NOT NULL,
    marked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Not before.
    due_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'marked' CHECK (state IN ('marked', 'removing', 'removed', 'spared')),
    spared_by text,
    rows_removed bigint NOT NULL DEFAULT 0,
    ended_at timestamptz,
    PRIMARY KEY (tenant_id, removal_id),
    CHECK ((state IN ('removed', 'spared')) = (ended_at IS NOT NULL))
);
CREATE INDEX removals_open ON ledger.removals (tenant_id, due_at) WHERE state IN ('marked', 'removing');

ALTER TABLE ledger.retention_requests ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.retention_requests FORCE ROW LEVEL SECURITY;
ALTER TABLE ledger.retention_sign_offs ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.retention_sign_offs FORCE ROW LEVEL SECURITY;
ALTER TABLE ledger.retention_rules ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.retention_rules FORCE ROW LEVEL SECURITY;
ALTER TABLE ledger.retention_assignments ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.retention_assignments FORCE ROW LEVEL SECURITY;
ALTER TABLE ledger.course_ends ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.course_ends FORCE ROW LEVEL SECURITY;
ALTER TABLE ledger.removals ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.removals FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON ledger.retention_requests TO progress_service, progress_retention
    USING (tenant_id IS NULL OR tenant_id = (SELECT platform.current_tenant()))
    WITH CHECK (tenant_id IS NULL OR tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY own_tenant ON ledger.retention_sign_offs TO progress_service, progress_retention
    USING (tenant_id IS NULL OR tenant_id = (SELECT platform.current_tenant()))
    WITH CHECK (tenant_id IS NULL OR tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY own_tenant ON ledger.retention_rules TO progress_service, progress_eraser, progress_retention
    USING (tenant_id IS NULL OR tenant_id = (SELECT platform.current_tenant()))
    WITH CHECK (tenant_id IS NULL OR tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY own_tenant ON ledger.retention_assignments TO progress_service, progress_eraser, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY own_tenant ON ledger.course_ends TO progress_service, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY own_tenant ON ledger.removals TO progress_service, progress_retention
    USING (tenant_id = (SELECT platform.current_tenant())) WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON ledger.retention_requests FOR SELECT TO progress_worker USING (true);
CREATE POLICY every_tenant ON ledger.retention_sign_offs FOR SELECT TO progress_worker USING (true);
CREATE POLICY every_tenant ON ledger.retention_rules FOR SELECT TO progress_worker USING (true);
CREATE POLICY every_tenant ON ledger.retention_assignments FOR SELECT TO progress_worker USING (true);
CREATE POLICY every_tenant ON ledger.course_ends FOR SELECT TO progress_worker USING (true);
CREATE POLICY every_tenant ON ledger.removals FOR SELECT TO progress_worker USING (true);
CREATE POLICY definer_reads ON ledger.retention_requests FOR SELECT TO CURRENT_USER USING (true);
CREATE POLICY definer_reads ON ledger.retention_sign_offs FOR SELECT TO CURRENT_USER USING (true);
CREATE POLICY definer_reads ON ledger.retention_rules FOR SELECT TO CURRENT_USER USING (true);
CREATE POLICY definer_reads ON ledger.retention_assignments FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT ON ledger.retention_classes, ledger.retention_rules, ledger.retention_assignments
    TO progress_service, progress_worker, progress_eraser, progress_retention;
GRANT SELECT ON ledger.retention_requests, ledger.retention_sign_offs, ledger.course_ends, ledger.removals
    TO progress_service, progress_worker, progress_retention;
GRANT INSERT ON ledger.retention_classes, ledger.retention_requests, ledger.retention_sign_offs, ledger.retention_rules,
    ledger.retention_assignments, ledger.course_ends, ledger.removals TO progress_retention;
GRANT UPDATE (withdrawn_at, noted_by, noted_at) ON ledger.course_ends TO progress_retention;
GRANT UPDATE (state, spared_by, rows_removed, ended_at) ON ledger.removals TO progress_retention;

-- Of which class a tenant is.
CREATE FUNCTION ledger.retention_class(whose uuid) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$ SELECT coalesce((SELECT a.class FROM ledger.retention_assignments a WHERE a.tenant_id = whose
                           ORDER BY a.number DESC LIMIT 1), 'standard') $$;
-- The rule of this kind that is in force: its days of keeping, or NULL.
CREATE FUNCTION ledger.kept_by_rule(whose uuid, of_class text, place text, of_course uuid, beginning text) RETURNS integer
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$ SELECT r.keep_days FROM ledger.retention_rules r
          WHERE r.tenant_id IS NOT DISTINCT FROM whose AND r.class = of_class AND r.covers = place
            AND r.course_key IS NOT DISTINCT FROM of_course AND r.starts = beginning ORDER BY r.number DESC LIMIT 1 $$;
-- So many days statements of a tenant are kept at least, whatever they are about.
CREATE FUNCTION ledger.kept_days(whose uuid) RETURNS integer
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$ SELECT greatest(coalesce(ledger.kept_by_rule(NULL, c.class, 'statements', NULL, 'stored'), 0),
                          coalesce(ledger.kept_by_rule(whose, c.class, 'statements', NULL, 'stored'), 0))
          FROM (SELECT ledger.retention_class(whose)) AS c (class) $$;

-- Two persons shorten what a law keeps: the rule has to be the one that was shown, and signed by somebody else.
CREATE FUNCTION ledger.shortened_by_two() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
    DECLARE
        before integer;
        is_guarded boolean;
    BEGIN
        SELECT c.needs_sign_off INTO is_guarded FROM ledger.retention_classes c WHERE c.class = NEW.class;
        before := ledger.kept_by_rule(NEW.tenant_id, NEW.class, NEW.covers, NEW.course_key, NEW.starts);
        IF is_guarded AND coalesce(NEW.keep_days, 0) < coalesce(before, 0) AND NOT EXISTS (
            SELECT FROM ledger.retention_sign_offs s JOIN ledger.retention_requests r ON r.digest = s.digest
            WHERE s.digest = NEW.signed_off AND r.plan -> 'change' = jsonb_build_object('tenant', NEW.tenant_id,
                'class', NEW.class, 'covers', NEW.covers, 'course', NEW.course, 'starts', NEW.starts,
                'keepDays', NEW.keep_days, 'deleteDays', NEW.delete_days)
        ) THEN
            RAISE EXCEPTION 'the class % keeps % for % days: to shorten that another person has to sign the plan', NEW.class,
                NEW.covers, before USING ERRCODE = 'insufficient_privilege';
        END IF;
        RETURN NEW;
    END
    $$;
CREATE FUNCTION ledger.released_by_two() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
    DECLARE
        before text := ledger.retention_class(NEW.tenant_id);
    BEGIN
        IF NEW.class <> before AND (SELECT c.needs_sign_off FROM ledger.retention_classes c WHERE c.class = before)
            AND NOT EXISTS (
            SELECT FROM ledger.retention_sign_offs s JOIN ledger.retention_requests r ON r.digest = s.digest
            WHERE s.digest = NEW.signed_off
              AND r.plan -> 'change' = jsonb_build_object('tenant', NEW.tenant_id, 'class', NEW.class)
        ) THEN
            RAISE EXCEPTION 'the tenant is %: to make it % another person has to sign the plan', before, NEW.class
                USING ERRCODE = 'insufficient_privilege';
        END IF;
        RETURN NEW;
    END
    $$;
CREATE TRIGGER shortened_by_two BEFORE INSERT ON ledger.retention_rules
    FOR EACH ROW EXECUTE FUNCTION ledger.shortened_by_two();
CREATE TRIGGER released_by_two BEFORE INSERT ON ledger.retention_assignments
    FOR EACH ROW EXECUTE FUNCTION ledger.released_by_two();

-- A history is only added to, and none of these is emptied.
CREATE FUNCTION ledger.refuse_rewriting() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
    BEGIN
        RAISE EXCEPTION '% on %.% is refused: its rows are only ever added', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END
    $$;
CREATE TRIGGER only_added BEFORE UPDATE OR DELETE ON ledger.retention_classes
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_rewriting();
CREATE TRIGGER only_added BEFORE UPDATE OR DELETE ON ledger.retention_requests
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_rewriting();
CREATE TRIGGER only_added BEFORE UPDATE OR DELETE ON ledger.retention_sign_offs
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_rewriting();
CREATE TRIGGER only_added BEFORE UPDATE OR DELETE ON ledger.retention_rules
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_rewriting();
CREATE TRIGGER only_added BEFORE UPDATE OR DELETE ON ledger.retention_assignments
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_rewriting();
SELECT ledger.keep_from_truncation(kept)
    FROM unnest(ARRAY['retention_classes', 'retention_requests', 'retention_sign_offs', 'retention_rules', 'retention_assignments', 'removals']) kept;
ALTER TABLE ledger.retention_classes ENABLE ALWAYS TRIGGER only_added;
ALTER TABLE ledger.retention_requests ENABLE ALWAYS TRIGGER only_added;
ALTER TABLE ledger.retention_sign_offs ENABLE ALWAYS TRIGGER only_added;
ALTER TABLE ledger.retention_rules ENABLE ALWAYS TRIGGER only_added;
ALTER TABLE ledger.retention_assignments ENABLE ALWAYS TRIGGER only_added;

REVOKE ALL ON FUNCTION ledger.retention_class(uuid), ledger.kept_by_rule(uuid, text, text, uuid, text), ledger.kept_days(uuid),
    ledger.shortened_by_two(), ledger.released_by_two(), ledger.refuse_rewriting() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.retention_class(uuid), ledger.kept_days(uuid)
    TO progress_worker, progress_eraser, progress_retention;
GRANT EXECUTE ON FUNCTION ledger.kept_by_rule(uuid, text, text, uuid, text) TO progress_retention;
