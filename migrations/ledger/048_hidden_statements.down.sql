DROP POLICY IF EXISTS removers ON ledger.verbs_seen;
REVOKE ALL ON ledger.verbs_seen FROM progress_eraser;
DROP POLICY IF EXISTS not_hidden ON ledger.statements;
DROP POLICY IF EXISTS not_hidden ON ledger.detached_statements;
