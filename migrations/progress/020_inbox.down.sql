DROP TABLE IF EXISTS progress.saga_requests;
DROP TABLE IF EXISTS progress.inbox;
