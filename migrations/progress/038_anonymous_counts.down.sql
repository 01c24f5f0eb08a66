DROP TABLE IF EXISTS progress.anonymous_counts;
