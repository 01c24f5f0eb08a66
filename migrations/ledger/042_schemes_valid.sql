-- Description: every partition is known to have a scheme that there is
-- Breaking: no
-- Manual: no
-- Lock: share-update

-- Apart from adding the rule, which holds everybody up: this reads the rows beside everybody's work.
ALTER TABLE ledger.partitions VALIDATE CONSTRAINT a_scheme;
