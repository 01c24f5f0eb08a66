-- Description: whose statements a voiding may void, and who brought which attachment
-- Breaking: no
-- Manual: no
-- Lock: exclusive-brief

-- Absent: it voids whatever it refers to. Otherwise only a statement under this authority (the key in the form in which
-- `relations` has it), also where that arrives later.
ALTER TABLE ledger.refs ADD COLUMN voids_only_of uuid;

-- Under which authorities the bytes of a content were brought: whoever only names the hash has not got them.
CREATE TABLE ledger.attachment_bringers (
    tenant_id uuid NOT NULL,
    sha2 bytea NOT NULL,
    authority_key uuid NOT NULL,
    PRIMARY KEY (tenant_id, sha2, authority_key)
);

ALTER TABLE ledger.attachment_bringers ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger.attachment_bringers FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON ledger.attachment_bringers TO progress_service
    USING (tenant_id = (SELECT platform.current_tenant()))
    WITH CHECK (tenant_id = (SELECT platform.current_tenant()));
CREATE POLICY every_tenant ON ledger.attachment_bringers FOR SELECT TO progress_worker USING (true);
GRANT SELECT, INSERT ON ledger.attachment_bringers TO progress_service;
GRANT SELECT ON ledger.attachment_bringers TO progress_worker;
