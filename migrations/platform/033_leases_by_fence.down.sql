DROP INDEX IF EXISTS platform.leases_by_fence;
