-- Description: the way back: mail as it stood before
-- Breaking: no
-- Manual: yes
-- Lock: none
-- Backfill: shop.things by tenant_id, id
-- Remains: t.mail_before IS NOT NULL

UPDATE shop.things t SET mail = t.mail_before, mail_before = NULL
FROM batch b WHERE (t.tenant_id, t.id) = (b.tenant_id, b.id);
