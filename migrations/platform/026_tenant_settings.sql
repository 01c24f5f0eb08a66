-- Description: what a tenant decides for itself about cmi5
-- Breaking: no
-- Manual: no
-- Lock: exclusive-brief

ALTER TABLE platform.tenants
    -- Whether statements that break cmi5's rules are refused; else they are counted.
    ADD COLUMN cmi5_strict boolean NOT NULL DEFAULT false,
    -- Whether `satisfied` is computed and sent for courses whose structure is known.
    ADD COLUMN cmi5_satisfied boolean NOT NULL DEFAULT false;
