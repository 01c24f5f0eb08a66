DROP TABLE IF EXISTS progress.cmi5_marks;
