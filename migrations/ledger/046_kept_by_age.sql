-- Description: retention removes nothing that a rule keeps, by whatever SQL
-- Breaking: no
-- Manual: no
-- Lock: share

-- As before; and what is younger than its tenant's rules keep stays too. An erasure answers to the law by itself.
CREATE OR REPLACE FUNCTION ledger.keep_what_is_held() RETURNS trigger
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
        IF current_user = 'progress_retention'
            AND OLD.stored > clock_timestamp() - ledger.kept_days(OLD.tenant_id) * interval '1 day' THEN
            RAISE EXCEPTION 'a statement is kept for % days: it is not removed', ledger.kept_days(OLD.tenant_id)
                USING ERRCODE = 'object_in_use';
        END IF;
        RETURN OLD;
    END
    $$;

-- The same for a month of the archive that gives way because its time has come.
CREATE FUNCTION ledger.keep_segments() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
    DECLARE
        held uuid;
    BEGIN
        IF current_user = 'progress_retention' AND NEW.state = 'marked' AND OLD.state <> 'marked' THEN
            PERFORM ledger.share_holds(OLD.tenant_id);
            SELECT h.hold_id INTO held FROM ledger.holds h
                WHERE h.tenant_id = OLD.tenant_id AND h.released_at IS NULL AND h.scope = 'tenant' LIMIT 1;
            IF held IS NOT NULL THEN
                RAISE EXCEPTION 'a segment stands under the hold %: it is not removed', held USING ERRCODE = 'object_in_use';
            END IF;
            IF OLD.last_stored > clock_timestamp() - ledger.kept_days(OLD.tenant_id) * interval '1 day' THEN
                RAISE EXCEPTION 'a segment is kept for % days: it is not removed', ledger.kept_days(OLD.tenant_id)
                    USING ERRCODE = 'object_in_use';
            END IF;
        END IF;
        RETURN NEW;
    END
    $$;
CREATE TRIGGER what_is_kept_stays BEFORE UPDATE ON ledger.segments
    FOR EACH ROW EXECUTE FUNCTION ledger.keep_segments();
REVOKE ALL ON FUNCTION ledger.keep_segments() FROM PUBLIC;
