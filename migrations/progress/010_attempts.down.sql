DROP TABLE IF EXISTS progress.outbox;
DROP TABLE IF EXISTS progress.scores;
DROP TABLE IF EXISTS progress.completion_records;
DROP TABLE IF EXISTS progress.attempts;
DROP TABLE IF EXISTS progress.attempt_statements;
DROP TABLE IF EXISTS progress.attempt_names;
DROP TABLE IF EXISTS progress.projection_cursors;
