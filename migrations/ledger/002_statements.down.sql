DROP TABLE IF EXISTS ledger.statement_ids;
DROP TABLE IF EXISTS ledger.relations;
DROP TABLE IF EXISTS ledger.statements;
