DROP TABLE IF EXISTS progress.activity_counted;
DROP TABLE IF EXISTS progress.activity_due;
DROP TABLE IF EXISTS progress.learner_days;
DROP TABLE IF EXISTS progress.activity;
