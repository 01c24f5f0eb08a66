DROP INDEX IF EXISTS platform.jobs_waiting;
