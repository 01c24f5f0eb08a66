ALTER TABLE shop.things DROP COLUMN IF EXISTS mail_before;
