-- Description: which statements refer to which, what a chain of references reaches, and which statements are voided
-- Breaking: no
-- Manual: no
-- Lock: none

-- One row for each statement whose object is a StatementRef; the target may come later, or never.
CREATE TABLE ledger.refs (
    tenant_id uuid NOT NULL,
    target_id uuid NOT NULL,
    referrer_id uuid NOT NULL,
    stored timestamptz NOT NULL,
    voids boolean NOT NULL,
    -- Whether the worker has looked once more, after everything that ran beside it was visible.
    settled boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, target_id, referrer_id)
);
CREATE INDEX refs_by_referrer ON ledger.refs (tenant_id, referrer_id);
CREATE INDEX refs_unsettled ON ledger.refs (stored) WHERE NOT settled;

-- What a referrer reaches, directly or along a chain, with the keys a filter asks for: a query that matches the
-- reached statement also answers the referrer.
CREATE TABLE ledger.reaches (
    tenant_id uuid NOT NULL,
    stored timestamptz NOT NULL,
    referrer_id uuid NOT NULL,
    reached_id uuid NOT NULL,
    verb_key uuid NOT NULL,
    agent_key uuid,
    activity_key uuid,
    registration_key uuid,
    related uuid[] NOT NULL,
    PRIMARY KEY (tenant_id, referrer_id, reached_id)
);
CREATE INDEX reaches_by_verb ON ledger.reaches (verb_key, stored);
CREATE INDEX reaches_by_agent ON ledger.reaches (agent_key, stored);
CREATE INDEX reaches_by_activity ON ledger.reaches (activity_key, stored);
CREATE INDEX reaches_by_registration ON ledger.reaches (registration_key, stored);
CREATE INDEX reaches_by_related ON ledger.reaches USING gin (related);

ALTER TABLE ledger.refs ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.refs FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON ledger.refs TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()))
    WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON ledger.refs TO progress_worker USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON ledger.refs TO progress_service;
GRANT SELECT, UPDATE (settled) ON ledger.refs TO progress_worker;

ALTER TABLE ledger.reaches ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.reaches FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON ledger.reaches TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()))
    WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON ledger.reaches TO progress_worker USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON ledger.reaches TO progress_service, progress_worker;

-- Writes what follows from the arrival of `arrived`: what each of them reaches, and, for everyone who refers to one
-- of them along any chain, all that the chain reaches from there. UNION ends cycles. Idempotent.
CREATE FUNCTION ledger.link(tenant uuid, arrived uuid[]) RETURNS bigint
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog
    AS $$
        WITH RECURSIVE
        upstream(id) AS (
            SELECT unnest(arrived)
            UNION
            SELECT r.referrer_id FROM upstream u JOIN ledger.refs r ON r.tenant_id = tenant AND r.target_id = u.id
        ),
        chain(referrer_id, reached_id) AS (
            SELECT r.referrer_id, r.target_id
            FROM upstream u JOIN ledger.refs r ON r.tenant_id = tenant AND r.referrer_id = u.id
            UNION
            SELECT c.referrer_id, r.target_id
            FROM chain c JOIN ledger.refs r ON r.tenant_id = tenant AND r.referrer_id = c.reached_id
        ),
        written AS (
            INSERT INTO ledger.reaches
                (tenant_id, stored, referrer_id, reached_id, verb_key, agent_key, activity_key, registration_key, related)
            SELECT tenant, own.stored, c.referrer_id, c.reached_id,
                   s.verb_key, s.agent_key, s.activity_key, s.registration_key,
                   coalesce((SELECT array_agg(rel.key) FROM ledger.relations rel
                             WHERE rel.tenant_id = tenant AND rel.stored = s.stored), '{}')
            FROM chain c
            JOIN ledger.statement_ids own ON own.tenant_id = tenant AND own.id = c.referrer_id
            JOIN ledger.statement_ids target ON target.tenant_id = tenant AND target.id = c.reached_id
            JOIN ledger.statements s ON s.tenant_id = tenant AND s.stored = target.stored
            WHERE c.referrer_id <> c.reached_id
            ORDER BY c.referrer_id, c.reached_id
            ON CONFLICT DO NOTHING
            RETURNING 1
        )
        SELECT count(*) FROM written
    $$;
GRANT EXECUTE ON FUNCTION ledger.link(uuid, uuid[]) TO progress_service, progress_worker;
