DROP TRIGGER IF EXISTS what_is_held_stays ON ledger.detached_statements;
DROP TRIGGER IF EXISTS what_is_held_stays ON ledger.statements;
DROP FUNCTION IF EXISTS ledger.keep_what_is_held();
DROP FUNCTION IF EXISTS ledger.hold_marks(uuid[]);
DROP FUNCTION IF EXISTS ledger.own_holds(uuid);
DROP FUNCTION IF EXISTS ledger.share_holds(uuid);
DROP TABLE IF EXISTS ledger.holds;
DROP FUNCTION IF EXISTS ledger.holds_only_end();
