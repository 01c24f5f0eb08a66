-- Description: things of a shop
-- Breaking: no
-- Manual: no
-- Lock: none

CREATE TABLE shop.things (
    tenant_id uuid NOT NULL,
    id bigint NOT NULL,
    mail text,
    PRIMARY KEY (tenant_id, id)
);
ALTER TABLE shop.things ENABLE ROW LEVEL SECURITY;
ALTER TABLE shop.things FORCE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON shop.things TO progress_worker USING (true) WITH CHECK (true);
GRANT USAGE ON SCHEMA shop TO progress_worker;
GRANT SELECT, INSERT, UPDATE ON shop.things TO progress_worker;
