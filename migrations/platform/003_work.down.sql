DROP TABLE IF EXISTS platform.audit;
DROP FUNCTION IF EXISTS platform.refuse_change();
DROP TABLE IF EXISTS platform.jobs;
DROP TABLE IF EXISTS platform.leases;
