DROP FUNCTION IF EXISTS platform.signing_key(text);
DROP TABLE IF EXISTS platform.signing_keys;
