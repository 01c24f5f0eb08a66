DROP TABLE IF EXISTS progress.satisfied_due;
DROP TABLE IF EXISTS progress.course_units;
DROP TABLE IF EXISTS progress.courses;
