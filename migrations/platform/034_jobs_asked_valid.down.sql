ALTER TABLE platform.jobs DROP CONSTRAINT IF EXISTS jobs_asked;
ALTER TABLE platform.jobs ADD CONSTRAINT jobs_asked CHECK (asked IN ('pause', 'cancel')) NOT VALID;
