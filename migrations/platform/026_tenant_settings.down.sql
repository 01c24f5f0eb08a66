ALTER TABLE platform.tenants
    DROP COLUMN IF EXISTS cmi5_strict,
    DROP COLUMN IF EXISTS cmi5_satisfied;
