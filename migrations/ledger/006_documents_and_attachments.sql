-- Description: state and profile documents, and attachments by content
-- Breaking: no
-- Manual: no
-- Lock: none

CREATE TABLE ledger.documents (
    tenant_id uuid NOT NULL,
    -- Hash of everything that names the document: one row for one name, registration absent included.
    key uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('state', 'activity_profile', 'agent_profile')),
    -- Hash of the place (activity, agent) without registration and document id: what a listing asks for.
    scope_key uuid NOT NULL,
    registration uuid,
    document_id text NOT NULL,
    content_type text NOT NULL,
    content bytea NOT NULL,
    etag text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, key)
);
CREATE INDEX documents_by_scope ON ledger.documents (scope_key, updated_at);

-- One row for each distinct content of a tenant, in pieces that are read and written one at a time.
CREATE TABLE ledger.attachments (
    tenant_id uuid NOT NULL,
    -- Of any member of the SHA-2 family.
    sha2 bytea NOT NULL CHECK (length(sha2) BETWEEN 28 AND 64),
    length bigint NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, sha2)
);

CREATE TABLE ledger.attachment_pieces (
    tenant_id uuid NOT NULL,
    sha2 bytea NOT NULL,
    piece integer NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (tenant_id, sha2, piece)
);
-- Attachments are mostly compressed already.
ALTER TABLE ledger.attachment_pieces ALTER COLUMN content SET STORAGE EXTERNAL;

DO $$
DECLARE
    noun text;
BEGIN
    FOREACH noun IN ARRAY ARRAY['documents', 'attachments', 'attachment_pieces'] LOOP
        EXECUTE format('ALTER TABLE ledger.%I ENABLE ROW LEVEL SECURITY', noun);
        EXECUTE format('ALTER TABLE ledger.%I FORCE ROW LEVEL SECURITY', noun);
        EXECUTE format('CREATE POLICY own_tenant ON ledger.%I TO progress_service '
            'USING (tenant_id = (SELECT platform.current_tenant())) '
            'WITH CHECK (tenant_id = (SELECT platform.current_tenant()))', noun);
        EXECUTE format('CREATE POLICY every_tenant ON ledger.%I FOR SELECT TO progress_worker USING (true)', noun);
        EXECUTE format('GRANT SELECT, INSERT ON ledger.%I TO progress_service', noun);
        EXECUTE format('GRANT SELECT ON ledger.%I TO progress_worker', noun);
    END LOOP;
END
$$;
GRANT UPDATE, DELETE ON ledger.documents TO progress_service;
