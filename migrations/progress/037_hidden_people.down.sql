DROP POLICY IF EXISTS not_hidden ON progress.attempts;
DROP POLICY IF EXISTS not_hidden ON progress.completion_records;
DROP POLICY IF EXISTS not_hidden ON progress.scores;
