-- progress: allow dynamic-sql because the tables are named in the file
DO $$
DECLARE
    noun text;
BEGIN
    FOREACH noun IN ARRAY ARRAY['agents', 'activities', 'verbs_seen', 'attachments', 'attachment_pieces', 'attachment_bringers',
                                'statement_ids', 'refs', 'reaches', 'documents'] LOOP
        EXECUTE pg_catalog.format('DROP POLICY IF EXISTS of_moved_tenants ON ledger.%I', noun);
    END LOOP;
END
$$;
DROP FUNCTION IF EXISTS ledger.clear_moved_tenant(uuid, bigint);
DROP POLICY IF EXISTS at_home_still ON ledger.documents;
DROP POLICY IF EXISTS at_home_too ON ledger.documents;
DROP POLICY IF EXISTS at_home ON ledger.documents;
DROP POLICY IF EXISTS at_home ON ledger.statement_ids;
