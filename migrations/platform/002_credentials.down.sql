DROP FUNCTION IF EXISTS platform.find_credential(text);
DROP TABLE IF EXISTS platform.credentials;
