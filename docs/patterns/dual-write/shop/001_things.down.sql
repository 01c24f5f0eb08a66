DROP TABLE IF EXISTS shop.things;
