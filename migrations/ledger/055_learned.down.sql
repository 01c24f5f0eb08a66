DROP TRIGGER IF EXISTS what_is_over_is_forgotten ON ledger.erasures;
DROP FUNCTION IF EXISTS ledger.what_is_over_is_forgotten();
ALTER TABLE ledger.erasures DROP COLUMN IF EXISTS learned;
