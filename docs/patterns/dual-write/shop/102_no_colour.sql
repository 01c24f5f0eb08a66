-- Description: colour is gone; nobody reads it any more
-- Breaking: yes
-- Manual: yes
-- Lock: exclusive-brief
-- Needed: later

DROP TRIGGER paint_both ON shop.things;
DROP FUNCTION shop.paint_both();
ALTER TABLE shop.things DROP COLUMN colour;
