-- Description: what a launch credential is bound to beside registration and learner, and the one-time address of its secret
-- Breaking: no
-- Manual: no
-- Lock: exclusive-brief

ALTER TABLE platform.credentials
    ADD COLUMN session_id text,
    ADD COLUMN activity_id text,
    ADD COLUMN move_on text,
    -- In ten-thousandths.
    ADD COLUMN mastery_score integer,
    ADD COLUMN launch_mode text,
    -- SHA-256 of what the fetch URL carries: 256 random bits, so that a slow hash would add nothing.
    ADD COLUMN fetch_hash bytea,
    ADD COLUMN fetch_until timestamptz,
    ADD COLUMN fetched_at timestamptz;

-- Beside find_credential, whose columns stay what they are: authentication happens before the tenant is known.
CREATE FUNCTION platform.find_launch(wanted uuid)
    RETURNS TABLE (
        session_id text, activity_id text, move_on text, mastery_score integer, launch_mode text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT c.session_id, c.activity_id, c.move_on, c.mastery_score, c.launch_mode
        FROM platform.credentials c
        WHERE c.credential_id = wanted
    $$;
REVOKE ALL ON FUNCTION platform.find_launch(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION platform.find_launch(uuid) TO progress_service, progress_worker;
