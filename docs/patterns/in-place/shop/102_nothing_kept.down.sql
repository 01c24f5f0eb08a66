ALTER TABLE shop.things ADD COLUMN IF NOT EXISTS mail_before text;
