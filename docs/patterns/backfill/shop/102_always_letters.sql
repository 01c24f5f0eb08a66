-- Description: no thing without letters
-- Breaking: no
-- Manual: yes
-- Lock: exclusive-brief
-- Previous: serves
-- Needed: later

ALTER TABLE shop.things ADD CONSTRAINT always_letters CHECK (letters IS NOT NULL) NOT VALID;
