DROP FUNCTION IF EXISTS platform.destroy_audit_key(bigint, text, text);
DROP POLICY IF EXISTS definer_tells ON platform.audit;
