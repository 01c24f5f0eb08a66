-- Description: which segments of archived months there are, and what was begun to be written
-- Breaking: no
-- Manual: no
-- Lock: none

-- The row comes before the objects, so that whatever a crash leaves behind has a name here.
CREATE TABLE ledger.segments (
    tenant_id uuid NOT NULL,
    month date NOT NULL CHECK (month = date_trunc('month', month)::date),
    revision integer NOT NULL CHECK (revision >= 0),
    -- `marked`: another revision has taken its place, or its time has come; `removed`: its objects are gone.
    state text NOT NULL DEFAULT 'staged' CHECK (state IN ('staged', 'published', 'marked', 'removed')),
    -- Whose its objects are: see `platform.installation`.
    installation_id uuid NOT NULL,
    epoch bigint NOT NULL,
    retention_class text NOT NULL,
    -- It is clean of all erasures up to this one.
    erasure_stamp bigint NOT NULL DEFAULT 0,
    -- What is in it; known once it is published.
    rows bigint,
    bytes bigint,
    first_stored timestamptz,
    last_stored timestamptz,
    digest text,
    verbs jsonb,
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    published_at timestamptz,
    marked_at timestamptz,
    removed_at timestamptz,
    PRIMARY KEY (tenant_id, month, revision),
    CHECK (state = 'staged' OR rows IS NOT NULL AND bytes IS NOT NULL AND first_stored IS NOT NULL
           AND last_stored IS NOT NULL AND digest IS NOT NULL AND verbs IS NOT NULL)
);
-- One at a time answers for a month.
CREATE UNIQUE INDEX segments_published ON ledger.segments (tenant_id, month) WHERE state = 'published';
CREATE INDEX segments_by_month ON ledger.segments (month);

-- Attempts at writing a segment down. Each puts its objects under names of its own, which this row tells; one that is published or
-- cleared away stays for a while, because who wrote may only have been asleep.
CREATE TABLE ledger.writings (
    tenant_id uuid NOT NULL,
    month date NOT NULL,
    revision integer NOT NULL,
    writing uuid NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    cleared_at timestamptz,
    PRIMARY KEY (tenant_id, month, revision, writing)
);

ALTER TABLE ledger.segments ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.segments FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON ledger.segments FOR SELECT TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON ledger.segments TO progress_worker USING (true) WITH CHECK (true);
CREATE POLICY definer_reads ON ledger.segments FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT ON ledger.segments TO progress_service;
GRANT SELECT, INSERT, UPDATE ON ledger.segments TO progress_worker;

ALTER TABLE ledger.writings ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.writings FORCE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON ledger.writings TO progress_worker USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE (cleared_at), DELETE ON ledger.writings TO progress_worker;

CREATE TRIGGER is_not_truncated BEFORE TRUNCATE ON ledger.segments
    FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_change();
ALTER TABLE ledger.segments ENABLE ALWAYS TRIGGER is_not_truncated;
