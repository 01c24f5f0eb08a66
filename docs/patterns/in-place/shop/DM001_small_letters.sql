-- Description: mail in small letters; what stood there is kept
-- Breaking: no
-- Manual: yes
-- Lock: none
-- Backfill: shop.things by tenant_id, id
-- Remains: t.mail <> lower(t.mail)

UPDATE shop.things t SET mail_before = coalesce(t.mail_before, t.mail), mail = lower(t.mail)
FROM batch b WHERE (t.tenant_id, t.id) = (b.tenant_id, b.id);
