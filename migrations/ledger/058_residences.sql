-- Description: nothing is added to a tenant that is not at home, and one that has moved away is removed
-- Breaking: no
-- Manual: no
-- Lock: exclusive-brief
-- Previous: serves
-- progress: allow two-tables because only policies change, in the order in which writers take the tables
-- progress: allow dynamic-sql because the tables are named in the file

-- Every statement claims its id, and every other writer of the ledger writes documents: these two close it, whatever a node
-- that slept believes. The list is made once for each command, not for each row.
CREATE POLICY at_home ON ledger.statement_ids AS RESTRICTIVE FOR INSERT TO progress_service, progress_ingest
    WITH CHECK ((tenant_id = ANY ((SELECT platform.closed_tenants())::pg_catalog.uuid[])) IS NOT TRUE);
CREATE POLICY at_home ON ledger.documents AS RESTRICTIVE FOR INSERT TO progress_service
    WITH CHECK ((tenant_id = ANY ((SELECT platform.closed_tenants())::pg_catalog.uuid[])) IS NOT TRUE);
CREATE POLICY at_home_too ON ledger.documents AS RESTRICTIVE FOR UPDATE TO progress_service
    USING (true)
    WITH CHECK ((tenant_id = ANY ((SELECT platform.closed_tenants())::pg_catalog.uuid[])) IS NOT TRUE);
CREATE POLICY at_home_still ON ledger.documents AS RESTRICTIVE FOR DELETE TO progress_service
    USING ((tenant_id = ANY ((SELECT platform.closed_tenants())::pg_catalog.uuid[])) IS NOT TRUE);

-- Removes at most `most` rows of each table that a tenant has beside its statements, once the tenant is away and somebody
-- else has agreed, or where it was to arrive and does not; answers how many it were. Statements go by the road on which rows
-- leave the ledger.
CREATE FUNCTION ledger.clear_moved_tenant(gone_tenant uuid, most bigint) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
    DECLARE
        noun text;
        gone bigint;
        total bigint := 0;
    BEGIN
        IF NOT EXISTS (SELECT FROM platform.residences r LEFT JOIN platform.moves m USING (move_id)
                       WHERE r.tenant_id = gone_tenant AND (r.standing = 'away' AND m.state = 'purging'
                           OR r.standing = 'arriving' AND r.move_id::text = current_setting('app.move_id', true))) THEN
            RAISE EXCEPTION 'tenant % is neither away, with a purge that was agreed to, nor arriving by this move', gone_tenant
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        FOREACH noun IN ARRAY ARRAY['agents', 'activities', 'verbs_seen', 'attachments', 'attachment_pieces',
                                    'attachment_bringers', 'statement_ids', 'refs', 'reaches', 'documents'] LOOP
            EXECUTE format('DELETE FROM ledger.%1$I WHERE tenant_id = $1 AND ctid = ANY (ARRAY('
                           'SELECT ctid FROM ledger.%1$I WHERE tenant_id = $1 LIMIT $2))', noun) USING gone_tenant, most;
            GET DIAGNOSTICS gone = ROW_COUNT;
            total := total + gone;
        END LOOP;
        RETURN total;
    END
    $$;
REVOKE ALL ON FUNCTION ledger.clear_moved_tenant(uuid, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.clear_moved_tenant(uuid, bigint) TO progress_worker;

-- What the owner's function may remove, whatever is in it.
DO $$
DECLARE
    noun text;
BEGIN
    FOREACH noun IN ARRAY ARRAY['agents', 'activities', 'verbs_seen', 'attachments', 'attachment_pieces', 'attachment_bringers',
                                'statement_ids', 'refs', 'reaches', 'documents'] LOOP
        EXECUTE pg_catalog.format('CREATE POLICY of_moved_tenants ON ledger.%I TO CURRENT_USER '
            'USING (tenant_id IN (SELECT r.tenant_id FROM platform.residences r WHERE r.standing IN (''away'', ''arriving''))) WITH CHECK (false)', noun);
    END LOOP;
END
$$;
