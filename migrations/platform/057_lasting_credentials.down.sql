DROP INDEX IF EXISTS platform.credentials_lasting;
