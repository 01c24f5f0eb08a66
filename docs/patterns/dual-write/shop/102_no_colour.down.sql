ALTER TABLE shop.things ADD COLUMN IF NOT EXISTS colour text;
