DROP INDEX IF EXISTS progress.attempts_by_start;
