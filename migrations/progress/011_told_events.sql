-- Description: the ids of events that left the outbox, so that none is told twice, and the order in which they leave it
-- Breaking: no
-- Manual: no
-- Lock: share

CREATE TABLE progress.told_events (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
ALTER TABLE progress.told_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE progress.told_events FORCE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON progress.told_events TO progress_worker USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE ON progress.told_events TO progress_worker;

CREATE INDEX outbox_published ON progress.outbox (published_at) WHERE published_at IS NOT NULL;
