DROP INDEX IF EXISTS progress.attempts_open;
