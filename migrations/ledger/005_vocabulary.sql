-- Description: the activities, agents and verbs that statements have named
-- Breaking: no
-- Manual: no
-- Lock: none

CREATE TABLE ledger.activities (
    tenant_id uuid NOT NULL,
    key uuid NOT NULL,
    iri text NOT NULL,
    -- Merged over all statements, as JSON text (numbers and NUL escapes survive as written).
    definition text,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, key)
);

CREATE TABLE ledger.agents (
    tenant_id uuid NOT NULL,
    key uuid NOT NULL,
    -- The one inverse functional identifier, as the JSON text of an object.
    ifi text NOT NULL,
    names text[] NOT NULL,
    PRIMARY KEY (tenant_id, key)
);

CREATE TABLE ledger.verbs_seen (
    tenant_id uuid NOT NULL,
    key uuid NOT NULL,
    iri text NOT NULL,
    display text,
    first_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, key)
);

DO $$
DECLARE
    noun text;
BEGIN
    FOREACH noun IN ARRAY ARRAY['activities', 'agents', 'verbs_seen'] LOOP
        EXECUTE format('ALTER TABLE ledger.%I ENABLE ROW LEVEL SECURITY', noun);
        EXECUTE format('ALTER TABLE ledger.%I FORCE ROW LEVEL SECURITY', noun);
        EXECUTE format('CREATE POLICY own_tenant ON ledger.%I TO progress_service '
            'USING (tenant_id = (SELECT platform.current_tenant())) '
            'WITH CHECK (tenant_id = (SELECT platform.current_tenant()))', noun);
        EXECUTE format('CREATE POLICY every_tenant ON ledger.%I FOR SELECT TO progress_worker USING (true)', noun);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON ledger.%I TO progress_service', noun);
        EXECUTE format('GRANT SELECT ON ledger.%I TO progress_worker', noun);
    END LOOP;
END
$$;
