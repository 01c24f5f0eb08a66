DROP TABLE IF EXISTS progress.silences;
