DROP FUNCTION IF EXISTS ledger.detach_foreign_month(timestamptz);
DROP FUNCTION IF EXISTS ledger.attach_foreign_month(timestamptz, text, text, text, text, text);
DROP FUNCTION IF EXISTS ledger.name_gateway(text, text, text, text, text);
DROP FUNCTION IF EXISTS ledger.lacks_for_foreign_months();
