DROP TRIGGER IF EXISTS paint_both ON shop.things;
DROP FUNCTION IF EXISTS shop.paint_both();
ALTER TABLE shop.things DROP COLUMN IF EXISTS paint;
