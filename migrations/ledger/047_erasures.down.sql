-- What was erased stays away by the tombstones of its ids; who was erased is not known any more.
DROP FUNCTION IF EXISTS ledger.erasure_marks(uuid[]);
DROP FUNCTION IF EXISTS ledger.was_erased_since(date, bigint);
DROP FUNCTION IF EXISTS ledger.erasure_stamp();
DROP TABLE IF EXISTS ledger.forgotten_parts;
DROP TABLE IF EXISTS ledger.erased_statements;
DROP TABLE IF EXISTS ledger.hidden_persons;
DROP TABLE IF EXISTS ledger.hidden;
DROP TABLE IF EXISTS ledger.erased_identifiers;
DROP TABLE IF EXISTS ledger.erasure_policies;
DROP TABLE IF EXISTS ledger.erasures;
