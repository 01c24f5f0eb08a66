-- Description: tags of what was there before, taken apart and without spaces around them
-- Breaking: no
-- Manual: yes
-- Lock: none
-- Backfill: shop.things by tenant_id, id
-- Remains: t.tags <> '' AND NOT EXISTS (SELECT FROM shop.tags g WHERE g.tenant_id = t.tenant_id AND g.thing_id = t.id)

INSERT INTO shop.tags (tenant_id, thing_id, place, tag)
SELECT t.tenant_id, t.id, one.place, btrim(one.tag)
FROM batch b
CROSS JOIN shop.things t
CROSS JOIN LATERAL unnest(string_to_array(t.tags, ',')) WITH ORDINALITY AS one (tag, place)
WHERE (t.tenant_id, t.id) = (b.tenant_id, b.id)
ON CONFLICT DO NOTHING;
