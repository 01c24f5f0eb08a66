DROP TABLE IF EXISTS progress.relay_cursors;
