-- Description: whoever destroys a key of the audit trail says so in the trail, in one act
-- Breaking: no
-- Manual: no
-- Lock: exclusive-brief
-- Previous: serves

-- The function below runs with its owner's rights.
CREATE POLICY definer_tells ON platform.audit FOR INSERT TO CURRENT_USER WITH CHECK (action = 'audit.key.destroy');

-- Forgets one key of a tenant, for good, and leaves the entry that tells of it; answers whether there was one to forget. For the
-- owner alone: neither requests nor background work may. The installation's own key stays.
CREATE FUNCTION platform.destroy_audit_key(which bigint, told_by text, why text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
    DECLARE
        whose uuid;
    BEGIN
        UPDATE platform.audit_keys k SET key = NULL, destroyed_at = clock_timestamp()
            WHERE k.key_id = which AND k.tenant_id IS NOT NULL AND k.destroyed_at IS NULL RETURNING k.tenant_id INTO whose;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
        INSERT INTO platform.audit (tenant_id, actor, action, subject, detail)
            VALUES (whose, told_by, 'audit.key.destroy', which::text, jsonb_build_object('reason', why));
        RETURN true;
    END
    $$;
REVOKE ALL ON FUNCTION platform.destroy_audit_key(bigint, text, text) FROM PUBLIC;
