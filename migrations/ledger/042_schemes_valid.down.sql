ALTER TABLE ledger.partitions DROP CONSTRAINT IF EXISTS a_scheme;
ALTER TABLE ledger.partitions ADD CONSTRAINT a_scheme
    CHECK (scheme ~ '^(monthly|weekly|daily|tenants-[1-9][0-9]{0,2})$') NOT VALID;
