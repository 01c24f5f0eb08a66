DROP TABLE IF EXISTS progress.extension_namespaces;
DROP TABLE IF EXISTS progress.verbs;
REVOKE USAGE ON SCHEMA progress FROM progress_service, progress_worker;
