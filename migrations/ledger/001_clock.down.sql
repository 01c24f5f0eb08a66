DROP FUNCTION IF EXISTS ledger.moment(bigint);
DROP FUNCTION IF EXISTS ledger.safe_bound();
DROP FUNCTION IF EXISTS ledger.reserve(bigint);
DROP SEQUENCE IF EXISTS ledger.clock;
REVOKE USAGE ON SCHEMA ledger FROM progress_service, progress_worker;
