DROP POLICY IF EXISTS removers ON progress.saga_requests;
DROP POLICY IF EXISTS removers ON progress.inbox;
DROP POLICY IF EXISTS removers ON progress.told_events;
DROP POLICY IF EXISTS removers ON progress.satisfied_due;
DROP POLICY IF EXISTS removers ON progress.cmi5_marks;
DROP POLICY IF EXISTS removers ON progress.silences;
DROP POLICY IF EXISTS removers ON progress.attempt_closures;
DROP POLICY IF EXISTS removers ON progress.outbox;
DROP POLICY IF EXISTS removers ON progress.scores;
DROP POLICY IF EXISTS removers ON progress.completion_records;
DROP POLICY IF EXISTS removers ON progress.attempts;
DROP POLICY IF EXISTS removers ON progress.attempt_statements;
DROP POLICY IF EXISTS removers ON progress.attempt_names;
REVOKE ALL ON progress.saga_requests, progress.inbox, progress.told_events, progress.satisfied_due, progress.cmi5_marks,
    progress.silences, progress.attempt_closures, progress.outbox, progress.scores, progress.completion_records,
    progress.attempts, progress.attempt_statements, progress.attempt_names FROM progress_eraser, progress_retention;
REVOKE USAGE ON SCHEMA progress FROM progress_eraser, progress_retention;
