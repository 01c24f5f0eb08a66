-- Description: the rows from before have letters too
-- Breaking: no
-- Manual: yes
-- Lock: share-update
-- Previous: serves
-- Needed: later

ALTER TABLE shop.things VALIDATE CONSTRAINT always_letters;
