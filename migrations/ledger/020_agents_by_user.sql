-- Description: find the accounts of a user, whose id is the account's name, at whichever home page
-- Breaking: no
-- Manual: no
-- Lock: share-update
-- progress: no-transaction

CREATE INDEX CONCURRENTLY IF NOT EXISTS agents_by_user ON ledger.agents
    (tenant_id, lower(replace(substring(ifi from '"name":"([0-9A-Fa-f-]{32,36})"}}$'), '-', '')))
    WHERE lower(replace(substring(ifi from '"name":"([0-9A-Fa-f-]{32,36})"}}$'), '-', '')) IS NOT NULL;
