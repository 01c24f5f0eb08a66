-- Description: what stood in mail before is gone
-- Breaking: yes
-- Manual: yes
-- Lock: exclusive-brief
-- Needed: later

ALTER TABLE shop.things DROP COLUMN mail_before;
