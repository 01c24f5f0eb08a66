-- Description: tags stand in their own table alone
-- Breaking: yes
-- Manual: yes
-- Lock: exclusive-brief
-- Needed: later

ALTER TABLE shop.things DROP COLUMN tags;
