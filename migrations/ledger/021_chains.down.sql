CREATE OR REPLACE FUNCTION ledger.link(tenant uuid, arrived uuid[]) RETURNS bigint
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
