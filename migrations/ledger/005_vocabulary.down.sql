DROP TABLE IF EXISTS ledger.verbs_seen;
DROP TABLE IF EXISTS ledger.agents;
DROP TABLE IF EXISTS ledger.activities;
