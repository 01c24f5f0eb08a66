DROP TABLE IF EXISTS ledger.attachment_bringers;
ALTER TABLE ledger.refs DROP COLUMN IF EXISTS voids_only_of;
