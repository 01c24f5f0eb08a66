-- Description: a row for each tag of a thing
-- Breaking: no
-- Manual: yes
-- Lock: none
-- Previous: serves
-- Needed: later

CREATE TABLE shop.tags (
    tenant_id uuid NOT NULL,
    thing_id bigint NOT NULL,
    place integer NOT NULL,
    tag text NOT NULL,
    PRIMARY KEY (tenant_id, thing_id, place)
);
ALTER TABLE shop.tags ENABLE ROW LEVEL SECURITY;
ALTER TABLE shop.tags FORCE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON shop.tags TO progress_worker USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON shop.tags TO progress_worker;
