DROP TRIGGER IF EXISTS silences_are_not_truncated ON progress.silences;
