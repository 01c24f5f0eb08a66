-- Description: paint for what was there before
-- Breaking: no
-- Manual: yes
-- Lock: none
-- Backfill: shop.things by tenant_id, id
-- Remains: t.paint IS NULL AND t.colour IS NOT NULL

UPDATE shop.things t SET paint = t.colour FROM batch b WHERE (t.tenant_id, t.id) = (b.tenant_id, b.id);
