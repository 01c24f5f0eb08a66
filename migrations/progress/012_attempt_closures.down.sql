DROP TABLE IF EXISTS progress.attempt_closures;
