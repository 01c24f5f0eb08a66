-- Description: tenants that were made to be shown, and the removal of what they have
-- Breaking: no
-- Manual: no
-- Lock: exclusive-brief
-- progress: allow dynamic-sql because the tables are named in the file, and months by format() from a date alone
-- progress: allow partition-change because a month that goes whole has to leave its parent first, and the function says which

-- Whose statements are made up. A tenant is one from its beginning or never.
CREATE TABLE ledger.demo_tenants (
    tenant_id uuid PRIMARY KEY,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
ALTER TABLE ledger.demo_tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.demo_tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON ledger.demo_tenants FOR SELECT TO progress_worker USING (true);
CREATE POLICY definer ON ledger.demo_tenants TO CURRENT_USER USING (true) WITH CHECK (true);
GRANT SELECT ON ledger.demo_tenants TO progress_worker;

-- Marks a tenant that this very transaction has made; any other might have statements that mean something.
CREATE FUNCTION ledger.mark_demo_tenant(made uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
    BEGIN
        IF NOT EXISTS (SELECT FROM platform.tenants t WHERE t.tenant_id = made AND t.name LIKE 'demo-%'
                       AND t.xmin::text = (pg_current_xact_id()::text::numeric % 4294967296)::text) THEN
            RAISE EXCEPTION 'tenant % was not made just now under a name that begins with demo-', made
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        INSERT INTO ledger.demo_tenants (tenant_id) VALUES (made);
    END
    $$;

-- Removes a month that holds statements of demo tenants and of nobody else; answers whether it did. Nothing is deleted from the
-- ledger: its tables go whole, or the month stays.
CREATE FUNCTION ledger.drop_demo_month(moment timestamptz) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET lock_timeout = '2s'
    SET enable_seqscan = off
    AS $$
    DECLARE
        month_begin timestamptz := date_trunc('month', moment);
        suffix text := to_char(moment, 'YYYY_MM');
        somebody uuid;
        found_state text;
    BEGIN
        PERFORM pg_advisory_xact_lock(76301, 2);
        SELECT p.state INTO found_state FROM ledger.partitions p WHERE p.month = month_begin::date;
        IF found_state IS NULL OR found_state NOT IN ('open', 'sealed') THEN
            RETURN false;
        END IF;
        EXECUTE format('ALTER TABLE ledger.statements DETACH PARTITION ledger.%I', 'statements_' || suffix);
        -- From here on nobody else has it, so its owner may look at all of it: from tenant to tenant along its index.
        EXECUTE format('ALTER TABLE ledger.%I NO FORCE ROW LEVEL SECURITY', 'statements_' || suffix);
        LOOP
            EXECUTE format('SELECT tenant_id FROM ledger.%I WHERE tenant_id > $1 ORDER BY tenant_id LIMIT 1',
                           'statements_' || suffix)
                INTO somebody USING coalesce(somebody, '00000000-0000-0000-0000-000000000000'::uuid);
            EXIT WHEN somebody IS NULL;
            IF NOT EXISTS (SELECT FROM ledger.demo_tenants d WHERE d.tenant_id = somebody) THEN
                RAISE EXCEPTION 'the month % holds statements of tenant %, which is no demo', to_char(moment, 'YYYY-MM'), somebody
                    USING ERRCODE = 'object_in_use';
            END IF;
        END LOOP;
        EXECUTE format('DROP TABLE ledger.%I', 'statements_' || suffix);
        EXECUTE format('DROP TABLE ledger.%I', 'relations_' || suffix);
        DELETE FROM ledger.partitions p WHERE p.month = month_begin::date;
        RETURN true;
    END
    $$;

-- Removes at most `most` rows of each table that a demo tenant has beside its statements; answers how many it were. Statements
-- themselves go with their months.
CREATE FUNCTION ledger.clear_demo_tenant(made uuid, most bigint) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
    DECLARE
        noun text;
        gone bigint;
        total bigint := 0;
    BEGIN
        IF NOT EXISTS (SELECT FROM ledger.demo_tenants d WHERE d.tenant_id = made) THEN
            RAISE EXCEPTION 'tenant % is no demo', made USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        FOREACH noun IN ARRAY ARRAY['agents', 'activities', 'verbs_seen', 'attachments', 'attachment_pieces', 'attachment_bringers',
                                    'statement_ids', 'refs', 'reaches', 'documents'] LOOP
            EXECUTE format('DELETE FROM ledger.%1$I WHERE tenant_id = $1 AND ctid = ANY (ARRAY('
                           'SELECT ctid FROM ledger.%1$I WHERE tenant_id = $1 LIMIT $2))', noun) USING made, most;
            GET DIAGNOSTICS gone = ROW_COUNT;
            total := total + gone;
        END LOOP;
        RETURN total;
    END
    $$;

REVOKE ALL ON FUNCTION ledger.mark_demo_tenant(uuid), ledger.drop_demo_month(timestamptz),
    ledger.clear_demo_tenant(uuid, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.mark_demo_tenant(uuid), ledger.drop_demo_month(timestamptz),
    ledger.clear_demo_tenant(uuid, bigint) TO progress_worker;

-- What the owner's functions may remove, whatever is in them.
DO $$
DECLARE
    noun text;
BEGIN
    FOREACH noun IN ARRAY ARRAY['agents', 'activities', 'verbs_seen', 'attachments', 'attachment_pieces', 'attachment_bringers',
                                'statement_ids', 'refs', 'reaches', 'documents'] LOOP
        EXECUTE pg_catalog.format('CREATE POLICY of_demo_tenants ON ledger.%I TO CURRENT_USER '
            'USING (tenant_id IN (SELECT d.tenant_id FROM ledger.demo_tenants d)) WITH CHECK (false)', noun);
    END LOOP;
END
$$;
