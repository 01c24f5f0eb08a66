-- progress: allow dynamic-sql because the tables are named in the file
DO $$
DECLARE
    noun text;
BEGIN
    FOREACH noun IN ARRAY ARRAY['agents', 'activities', 'verbs_seen', 'attachments', 'attachment_pieces', 'attachment_bringers',
                                'statement_ids', 'refs', 'reaches', 'documents'] LOOP
        EXECUTE pg_catalog.format('DROP POLICY IF EXISTS of_demo_tenants ON ledger.%I', noun);
    END LOOP;
END
$$;
DROP FUNCTION IF EXISTS ledger.clear_demo_tenant(uuid, bigint);
DROP FUNCTION IF EXISTS ledger.drop_demo_month(timestamptz);
DROP FUNCTION IF EXISTS ledger.mark_demo_tenant(uuid);
DROP TABLE IF EXISTS ledger.demo_tenants;
