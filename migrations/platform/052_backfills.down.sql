DROP TABLE IF EXISTS platform.backfills;
