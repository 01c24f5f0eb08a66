ALTER TABLE shop.things DROP CONSTRAINT IF EXISTS always_letters;
