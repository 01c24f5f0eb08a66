DROP TABLE IF EXISTS ledger.detached_relations;
DROP TABLE IF EXISTS ledger.detached_statements;
