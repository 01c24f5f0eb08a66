-- Description: the audit trail as a log: the place of each entry and its commitment, signed checkpoints, and where they are anchored
-- Breaking: no
-- Manual: no
-- Lock: share

-- Entries that have no place in the log yet. Whoever writes an entry, by whichever release, leaves its number here in the same
-- transaction; places are given afterwards, by one at a time, so that nobody who acts waits for anybody else who acts.
CREATE TABLE platform.audit_pending (
    audit_id bigint PRIMARY KEY
);
GRANT SELECT, DELETE ON platform.audit_pending TO progress_worker;

CREATE FUNCTION platform.audit_awaits_its_place() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
    BEGIN
        INSERT INTO platform.audit_pending (audit_id) VALUES (NEW.audit_id);
        RETURN NULL;
    END
    $$;
REVOKE ALL ON FUNCTION platform.audit_awaits_its_place() FROM PUBLIC;
CREATE TRIGGER audit_awaits_its_place AFTER INSERT ON platform.audit
    FOR EACH ROW EXECUTE FUNCTION platform.audit_awaits_its_place();
ALTER TABLE platform.audit ENABLE ALWAYS TRIGGER audit_awaits_its_place;

-- Entries from before the log: all up to this number are taken into it, in the order of their numbers.
CREATE TABLE platform.audit_log (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    taken_over bigint NOT NULL DEFAULT 0,
    take_over_to bigint NOT NULL
);
-- The trigger's lock let every insert before it end, so each of them has its number by now.
INSERT INTO platform.audit_log (take_over_to)
    VALUES (coalesce(pg_catalog.pg_sequence_last_value('platform.audit_audit_id_seq'), 0));
GRANT SELECT, UPDATE (taken_over) ON platform.audit_log TO progress_worker;

-- With what the entries of a tenant are committed to; without a tenant, those of the whole installation. A key that is destroyed
-- leaves its row, and the commitments that were made with it stay where they are: the tree is whole, and tells nothing.
CREATE TABLE platform.audit_keys (
    key_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id uuid,
    key bytea CHECK (length(key) = 32),
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    destroyed_at timestamptz,
    CHECK ((key IS NULL) = (destroyed_at IS NOT NULL))
);
CREATE UNIQUE INDEX audit_keys_alive ON platform.audit_keys (coalesce(tenant_id, '00000000-0000-0000-0000-000000000000'))
    WHERE destroyed_at IS NULL;
ALTER TABLE platform.audit_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE platform.audit_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON platform.audit_keys TO progress_worker USING (true) WITH CHECK (true);
-- The function below runs with its owner's rights.
CREATE POLICY definer_destroys ON platform.audit_keys TO CURRENT_USER USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON platform.audit_keys TO progress_worker;

-- Forgets the key of a tenant, for good; answers its number. For the owner alone: neither requests nor background work may.
CREATE FUNCTION platform.destroy_audit_key(wanted uuid) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
    DECLARE
        gone bigint;
    BEGIN
        UPDATE platform.audit_keys k SET key = NULL, destroyed_at = clock_timestamp()
            WHERE k.tenant_id = wanted AND k.destroyed_at IS NULL RETURNING k.key_id INTO gone;
        RETURN gone;
    END
    $$;
REVOKE ALL ON FUNCTION platform.destroy_audit_key(uuid) FROM PUBLIC;

-- The log: places without a gap, and what is committed to at each. A commitment is an HMAC of the entry.
CREATE TABLE platform.audit_leaves (
    leaf_index bigint PRIMARY KEY CHECK (leaf_index >= 0),
    audit_id bigint NOT NULL UNIQUE,
    key_id bigint NOT NULL,
    commitment bytea NOT NULL CHECK (length(commitment) = 32)
);

-- Hashes of the complete subtrees of 256, 256², … leaves: what proofs and tiles are made of. They follow from the leaves.
CREATE TABLE platform.audit_subtrees (
    height smallint NOT NULL CHECK (height > 0),
    number bigint NOT NULL,
    hash bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (height, number)
);

CREATE TABLE platform.audit_checkpoints (
    tree_size bigint PRIMARY KEY CHECK (tree_size > 0),
    root_hash bytea NOT NULL CHECK (length(root_hash) = 32),
    epoch bigint NOT NULL,
    signed_at timestamptz NOT NULL,
    note text NOT NULL
);

-- Where a checkpoint lies outside of this database.
CREATE TABLE platform.audit_anchors (
    tree_size bigint NOT NULL,
    place text NOT NULL,
    anchored_at timestamptz NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (tree_size, place)
);

GRANT SELECT, INSERT ON platform.audit_leaves, platform.audit_subtrees, platform.audit_checkpoints, platform.audit_anchors
    TO progress_worker;

CREATE TRIGGER audit_leaves_are_append_only BEFORE UPDATE OR DELETE ON platform.audit_leaves
    FOR EACH ROW EXECUTE FUNCTION platform.refuse_change();
CREATE TRIGGER audit_leaves_are_not_truncated BEFORE TRUNCATE ON platform.audit_leaves
    FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_change();
CREATE TRIGGER audit_subtrees_are_append_only BEFORE UPDATE OR DELETE ON platform.audit_subtrees
    FOR EACH ROW EXECUTE FUNCTION platform.refuse_change();
CREATE TRIGGER audit_subtrees_are_not_truncated BEFORE TRUNCATE ON platform.audit_subtrees
    FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_change();
CREATE TRIGGER audit_checkpoints_are_append_only BEFORE UPDATE OR DELETE ON platform.audit_checkpoints
    FOR EACH ROW EXECUTE FUNCTION platform.refuse_change();
CREATE TRIGGER audit_checkpoints_are_not_truncated BEFORE TRUNCATE ON platform.audit_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_change();
CREATE TRIGGER audit_anchors_are_append_only BEFORE UPDATE OR DELETE ON platform.audit_anchors
    FOR EACH ROW EXECUTE FUNCTION platform.refuse_change();
CREATE TRIGGER audit_anchors_are_not_truncated BEFORE TRUNCATE ON platform.audit_anchors
    FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_change();
CREATE TRIGGER audit_keys_are_not_truncated BEFORE TRUNCATE ON platform.audit_keys
    FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_change();
ALTER TABLE platform.audit_leaves ENABLE ALWAYS TRIGGER audit_leaves_are_append_only;
ALTER TABLE platform.audit_leaves ENABLE ALWAYS TRIGGER audit_leaves_are_not_truncated;
ALTER TABLE platform.audit_subtrees ENABLE ALWAYS TRIGGER audit_subtrees_are_append_only;
ALTER TABLE platform.audit_subtrees ENABLE ALWAYS TRIGGER audit_subtrees_are_not_truncated;
ALTER TABLE platform.audit_checkpoints ENABLE ALWAYS TRIGGER audit_checkpoints_are_append_only;
ALTER TABLE platform.audit_checkpoints ENABLE ALWAYS TRIGGER audit_checkpoints_are_not_truncated;
ALTER TABLE platform.audit_anchors ENABLE ALWAYS TRIGGER audit_anchors_are_append_only;
ALTER TABLE platform.audit_anchors ENABLE ALWAYS TRIGGER audit_anchors_are_not_truncated;
ALTER TABLE platform.audit_keys ENABLE ALWAYS TRIGGER audit_keys_are_not_truncated;
