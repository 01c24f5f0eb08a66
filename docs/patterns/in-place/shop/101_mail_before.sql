-- Description: what stood in mail before it was written anew
-- Breaking: no
-- Manual: yes
-- Lock: exclusive-brief
-- Previous: serves
-- Needed: later

ALTER TABLE shop.things ADD COLUMN mail_before text;
