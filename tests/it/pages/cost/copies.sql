-- Makes {copies} copies of every statement, each a microsecond after the other, with all that is found by them. Indexes are taken away
-- meanwhile and made anew over everything, which is many times quicker.
CREATE TEMP TABLE kept AS
    SELECT i.indexrelid::regclass::text AS name, replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ') AS made
    FROM pg_index i WHERE i.indrelid IN ('ledger.statements'::regclass, 'ledger.relations'::regclass);

-- Copies rows of a table: `others` has what takes the place of a column, where `n` is the number of the copy.
CREATE FUNCTION pg_temp.copy(copied regclass, others jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    columns text;
    chosen text;
BEGIN
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum),
           string_agg(coalesce(others ->> attname::text, 'c.' || quote_ident(attname)), ', ' ORDER BY attnum)
    INTO columns, chosen
    FROM pg_attribute WHERE attrelid = copied AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attidentity = '';
    EXECUTE format('INSERT INTO %s (%s) SELECT %s FROM %s c, generate_series(1, {copies}) n', copied, columns, chosen, copied);
END
$$;

DO $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT * FROM kept LOOP
        EXECUTE 'DROP INDEX ' || one.name;
    END LOOP;
    ALTER TABLE ledger.statement_ids DROP CONSTRAINT statement_ids_pkey;
    PERFORM pg_temp.copy('ledger.statement_ids', '{"id": "md5(c.id::text || n)::uuid", "stored": "c.stored + n * interval ''1 microsecond''"}');
    PERFORM pg_temp.copy('ledger.statements', '{"id": "md5(c.id::text || n)::uuid", "stored": "c.stored + n * interval ''1 microsecond''",
        "payload": "replace(c.payload, c.id::text, md5(c.id::text || n)::uuid::text)"}');
    PERFORM pg_temp.copy('ledger.relations', '{"stored": "c.stored + n * interval ''1 microsecond''"}');
    PERFORM pg_temp.copy('progress.attempt_names', '{"id": "c.id || ''+'' || n", "enrollment_id": "c.enrollment_id || ''+'' || n"}');
    PERFORM pg_temp.copy('progress.attempts', '{"id": "c.id || ''+'' || n", "enrollment_id": "c.enrollment_id || ''+'' || n"}');
    ALTER TABLE ledger.statement_ids ADD CONSTRAINT statement_ids_pkey PRIMARY KEY (tenant_id, id);
    FOR one IN SELECT * FROM kept LOOP
        EXECUTE one.made;
    END LOOP;
END
$$
