DROP TRIGGER IF EXISTS what_is_kept_stays ON ledger.segments;
DROP FUNCTION IF EXISTS ledger.keep_segments();
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
        RETURN OLD;
    END
    $$;
