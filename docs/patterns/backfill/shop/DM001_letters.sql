-- Description: letters for what was there before
-- Breaking: no
-- Manual: yes
-- Lock: none
-- Backfill: shop.things by tenant_id, id
-- Remains: t.letters IS NULL

UPDATE shop.things t SET letters = char_length(t.name) FROM batch b WHERE (t.tenant_id, t.id) = (b.tenant_id, b.id);
