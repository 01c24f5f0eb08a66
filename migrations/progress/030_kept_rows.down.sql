DROP TRIGGER IF EXISTS saga_requests_are_not_truncated ON progress.saga_requests;
DROP TRIGGER IF EXISTS inbox_is_not_truncated ON progress.inbox;
DROP TRIGGER IF EXISTS attempt_closures_are_not_truncated ON progress.attempt_closures;
DROP TRIGGER IF EXISTS extension_namespaces_are_not_truncated ON progress.extension_namespaces;
DROP TRIGGER IF EXISTS verbs_are_not_truncated ON progress.verbs;
