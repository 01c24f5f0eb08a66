-- Description: how many letters a name has
-- Breaking: no
-- Manual: yes
-- Lock: exclusive-brief
-- Previous: serves
-- Needed: later

ALTER TABLE shop.things ADD COLUMN letters integer;
