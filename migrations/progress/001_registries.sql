-- Description: the registries of verbs and extension namespaces; rows are only ever added
-- Breaking: no
-- Manual: no
-- Lock: none

GRANT USAGE ON SCHEMA progress TO progress_service, progress_worker;

-- Common to all tenants: a vocabulary is no tenant's secret. Verbs that are not here are legal all the same.
CREATE TABLE progress.verbs (
    iri text PRIMARY KEY CHECK (length(iri) BETWEEN 1 AND 2000),
    name text NOT NULL,
    vocabulary text NOT NULL,
    introduced_in text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE progress.extension_namespaces (
    -- Every extension whose key begins with this.
    iri text PRIMARY KEY CHECK (length(iri) BETWEEN 1 AND 2000),
    description text NOT NULL,
    vocabulary text NOT NULL,
    introduced_in text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TRIGGER verbs_are_only_added BEFORE UPDATE OR DELETE ON progress.verbs
    FOR EACH ROW EXECUTE FUNCTION platform.refuse_change();
CREATE TRIGGER extension_namespaces_are_only_added BEFORE UPDATE OR DELETE ON progress.extension_namespaces
    FOR EACH ROW EXECUTE FUNCTION platform.refuse_change();

GRANT SELECT ON progress.verbs, progress.extension_namespaces TO progress_service, progress_worker;
GRANT INSERT ON progress.verbs, progress.extension_namespaces TO progress_worker;
