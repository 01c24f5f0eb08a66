DROP VIEW IF EXISTS ledger.all_statements;
DROP TABLE IF EXISTS ledger.archived_statements;
DROP DOMAIN IF EXISTS ledger.archived_text;
