DROP INDEX IF EXISTS platform.launches_by_registration;
