-- Description: keys with which all nodes sign what they hand out and take back
-- Breaking: no
-- Manual: no
-- Lock: none

CREATE TABLE platform.signing_keys (
    purpose text PRIMARY KEY,
    key bytea NOT NULL CHECK (length(key) = 32),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Answers the key of a purpose and makes it at the first call; only these two roles may ask, nobody may list.
CREATE FUNCTION platform.signing_key(wanted text) RETURNS bytea
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog
    AS $$
    DECLARE
        found bytea;
    BEGIN
        SELECT key INTO found FROM platform.signing_keys WHERE purpose = wanted;
        IF found IS NULL THEN
            -- Three random UUIDs carry 366 random bits.
            INSERT INTO platform.signing_keys (purpose, key)
                VALUES (wanted, sha256(convert_to(concat(gen_random_uuid(), gen_random_uuid(), gen_random_uuid()), 'UTF8')))
                ON CONFLICT DO NOTHING;
            SELECT key INTO STRICT found FROM platform.signing_keys WHERE purpose = wanted;
        END IF;
        RETURN found;
    END
    $$;
REVOKE ALL ON FUNCTION platform.signing_key(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION platform.signing_key(text) TO progress_service, progress_worker;
