DROP INDEX IF EXISTS progress.outbox_published;
DROP TABLE IF EXISTS progress.told_events;
