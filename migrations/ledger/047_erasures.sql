-- Description: requests to erase a person, what they hide at once, and what is known of the erased so that nothing comes back
-- Breaking: no
-- Manual: no
-- Lock: none
-- progress: allow unseen-code because keep_from_truncation puts a trigger on the new tables, and nothing else

-- The log of erasures. Only its subject is personal, and that is emptied when it is done.
CREATE TABLE ledger.erasures (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    -- Grows in the order in which requests become visible: a copy of rows is clean of all erasures up to a stamp, or not.
    stamp bigint NOT NULL GENERATED ALWAYS AS IDENTITY UNIQUE,
    -- `queued`: the law keeps it, and what it is about is hidden meanwhile; `hidden`: it is being removed.
    state text NOT NULL DEFAULT 'requested' CHECK (state IN ('requested', 'refused', 'queued', 'hidden', 'erased')),
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Who it is about, as JSON text. Whoever completes or refuses it empties this.
    subject text,
    -- What becomes of those who only mention the person: `redact`, `keep` or `delete`.
    mentions text NOT NULL CHECK (mentions IN ('redact', 'keep', 'delete')),
    -- What becomes of statements that come later: `erase` or `accept`.
    arrivals text NOT NULL CHECK (arrivals IN ('erase', 'accept')),
    -- What a law that keeps something makes of it: `queue` or `refuse`.
    on_hold text NOT NULL CHECK (on_hold IN ('queue', 'refuse')),
    -- The saga's name for the request, if it came as a command.
    saga_request text,
    -- In which months something of it was found: segments of these that are not clean are written anew.
    months date[] NOT NULL DEFAULT '{}',
    -- What was done, by place: counts alone.
    counts jsonb NOT NULL DEFAULT '{}',
    -- Why it waits, or was refused.
    reason text,
    hidden_at timestamptz,
    finished_at timestamptz,
    -- The entry of the audit trail that says it is done.
    audit_id bigint,
    PRIMARY KEY (tenant_id, id),
    CHECK ((state IN ('erased', 'refused')) = (finished_at IS NOT NULL)),
    CHECK (state NOT IN ('erased', 'refused') OR subject IS NULL)
);
CREATE INDEX erasures_open ON ledger.erasures (stamp) WHERE state IN ('requested', 'queued', 'hidden');

-- What a tenant decides for requests that say nothing of it. Absent: redact, erase.
CREATE TABLE ledger.erasure_policies (
    tenant_id uuid PRIMARY KEY,
    mentions text NOT NULL CHECK (mentions IN ('redact', 'keep', 'delete')),
    arrivals text NOT NULL CHECK (arrivals IN ('erase', 'accept')),
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- By what the erased are recognised: lookup keys hashed with a key of the database's own, so that they tell nothing by themselves.
CREATE TABLE ledger.erased_identifiers (
    tenant_id uuid NOT NULL,
    hash bytea NOT NULL CHECK (length(hash) = 32),
    erasure_id uuid NOT NULL,
    -- Whether what comes under it is erased on arrival.
    erases boolean NOT NULL,
    PRIMARY KEY (tenant_id, hash, erasure_id)
);

-- Statements that no reader is shown from now on, wherever they lie; empty but while something is being erased or has to wait.
CREATE TABLE ledger.hidden (
    tenant_id uuid NOT NULL,
    stored timestamptz NOT NULL,
    id uuid NOT NULL,
    erasure_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, stored, id)
);
CREATE INDEX hidden_by_erasure ON ledger.hidden (erasure_id);

-- The same of persons: lookup keys of agents, and users as attempts know them.
CREATE TABLE ledger.hidden_persons (
    tenant_id uuid NOT NULL,
    erasure_id uuid NOT NULL,
    agent_key uuid,
    user_id text,
    CHECK ((agent_key IS NULL) <> (user_id IS NULL))
);
CREATE INDEX hidden_persons_by_key ON ledger.hidden_persons (tenant_id, agent_key) WHERE agent_key IS NOT NULL;
CREATE INDEX hidden_persons_by_user ON ledger.hidden_persons (tenant_id, user_id) WHERE user_id IS NOT NULL;

-- Which statements went, by ids that say nothing of anybody any more: what is looked for when an erasure is verified or replayed.
CREATE TABLE ledger.erased_statements (
    tenant_id uuid NOT NULL,
    erasure_id uuid NOT NULL,
    stored timestamptz NOT NULL,
    id uuid NOT NULL,
    -- What only mentioned the person is still there, and says nothing of it.
    is_redacted boolean NOT NULL,
    PRIMARY KEY (tenant_id, erasure_id, stored, id)
);

-- Parts of segments that are gone: whoever has blocks of them in a cache forgets them.
CREATE TABLE ledger.forgotten_parts (
    number bigint NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sha256 text NOT NULL,
    bytes bigint NOT NULL,
    forgotten_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

ALTER TABLE ledger.erasures ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.erasures FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON ledger.erasures FOR SELECT TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON ledger.erasures TO progress_worker USING (true) WITH CHECK (true);
CREATE POLICY definer_reads ON ledger.erasures FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT ON ledger.erasures TO progress_service;
GRANT SELECT, INSERT, UPDATE ON ledger.erasures TO progress_worker;

ALTER TABLE ledger.erasure_policies ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.erasure_policies FORCE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON ledger.erasure_policies TO progress_worker USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON ledger.erasure_policies TO progress_worker;

ALTER TABLE ledger.erased_identifiers ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.erased_identifiers FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON ledger.erased_identifiers FOR SELECT TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON ledger.erased_identifiers TO progress_worker USING (true) WITH CHECK (true);
CREATE POLICY group_sees ON ledger.erased_identifiers FOR SELECT TO progress_ingest
    USING ((tenant_id = ANY ((SELECT platform.current_tenants())::pg_catalog.uuid[])) IS TRUE);
GRANT SELECT ON ledger.erased_identifiers TO progress_service, progress_ingest;
GRANT SELECT, INSERT, DELETE ON ledger.erased_identifiers TO progress_worker;

ALTER TABLE ledger.hidden ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.hidden FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON ledger.hidden FOR SELECT TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON ledger.hidden TO progress_worker USING (true) WITH CHECK (true);
GRANT SELECT ON ledger.hidden TO progress_service;
GRANT SELECT, INSERT, DELETE ON ledger.hidden TO progress_worker;

ALTER TABLE ledger.hidden_persons ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.hidden_persons FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON ledger.hidden_persons FOR SELECT TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON ledger.hidden_persons TO progress_worker USING (true) WITH CHECK (true);
GRANT SELECT ON ledger.hidden_persons TO progress_service;
GRANT SELECT, INSERT, DELETE ON ledger.hidden_persons TO progress_worker;

ALTER TABLE ledger.erased_statements ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.erased_statements FORCE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON ledger.erased_statements TO progress_worker USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON ledger.erased_statements TO progress_worker;

GRANT SELECT, INSERT ON ledger.forgotten_parts TO progress_worker;

SELECT ledger.keep_from_truncation(kept) FROM unnest(ARRAY['erasures', 'erased_identifiers', 'hidden', 'erased_statements']) kept;

-- The stamp up to which every erasure is done: what is copied from here on is clean of all of them.
CREATE FUNCTION ledger.erasure_stamp() RETURNS bigint
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
    BEGIN
        RETURN coalesce(
            (SELECT min(e.stamp) - 1 FROM ledger.erasures e WHERE e.state IN ('requested', 'queued', 'hidden')),
            (SELECT max(e.stamp) FROM ledger.erasures e), 0);
    END
    $$;

-- Whether an erasure that touched the month has been done since that stamp: a copy from before may hold what it removed.
CREATE FUNCTION ledger.was_erased_since(of_month date, since bigint) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
    BEGIN
        RETURN EXISTS (SELECT FROM ledger.erasures e
                       WHERE e.stamp > since AND e.state = 'erased' AND of_month = ANY (e.months));
    END
    $$;
-- What stands for keys where nobody who has not the database's own key can tell whose they are; in the order of the keys.
CREATE FUNCTION ledger.erasure_marks(of_keys uuid[]) RETURNS bytea[]
    LANGUAGE sql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT coalesce(array_agg(sha256(s.key || uuid_send(k.key)) ORDER BY k.place), '{}')
        FROM (SELECT platform.signing_key('erasure')) AS s (key), unnest(of_keys) WITH ORDINALITY AS k (key, place)
    $$;
REVOKE ALL ON FUNCTION ledger.erasure_marks(uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.erasure_marks(uuid[]) TO progress_service, progress_worker;
REVOKE ALL ON FUNCTION ledger.erasure_stamp(), ledger.was_erased_since(date, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.erasure_stamp(), ledger.was_erased_since(date, bigint) TO progress_worker;
