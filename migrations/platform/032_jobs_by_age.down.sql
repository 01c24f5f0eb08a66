DROP INDEX IF EXISTS platform.jobs_by_age;
