-- Description: which installation this database is, so that a copy of it can be told from it
-- Breaking: no
-- Manual: no
-- Lock: none

-- One row, made at the first call of `this_installation`. Objects in the archive carry the installation and the epoch they were
-- written in; only that epoch deletes or replaces them.
CREATE TABLE platform.installation (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    installation_id uuid NOT NULL DEFAULT gen_random_uuid(),
    -- The microsecond at which it began: no two copies of a database come to the same one.
    epoch bigint NOT NULL,
    -- The server and the database that the row was written in. A dump that is read into another database, or a database made by
    -- another's template, has the row and not the numbers.
    system_id text NOT NULL,
    database_id text NOT NULL,
    -- The last word that this epoch has left in the archive. A copy of the server's files has the numbers, and an old word.
    word uuid,
    -- The one before: it is what lies there where the last one did not get so far.
    word_before uuid,
    said_at timestamptz,
    began_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT SELECT, UPDATE (word, word_before, said_at) ON platform.installation TO progress_worker;
GRANT SELECT ON platform.installation TO progress_service;

-- Where this database is: the server's own number, and the number of the database on it.
CREATE FUNCTION platform.whereabouts(OUT system_id text, OUT database_id text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT c.system_identifier::text, d.oid::text
        FROM pg_control_system() c, pg_database d WHERE d.datname = current_database()
    $$;

-- The installation, its epoch, and whether this is the database in which the epoch began.
CREATE FUNCTION platform.this_installation(OUT installation_id uuid, OUT epoch bigint, OUT is_here boolean)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
    BEGIN
        IF NOT EXISTS (SELECT FROM platform.installation) THEN
            INSERT INTO platform.installation (epoch, system_id, database_id)
                SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, w.system_id, w.database_id
                FROM platform.whereabouts() w
                ON CONFLICT DO NOTHING;
        END IF;
        SELECT i.installation_id, i.epoch, i.system_id = w.system_id AND i.database_id = w.database_id
            INTO this_installation.installation_id, this_installation.epoch, this_installation.is_here
            FROM platform.installation i, platform.whereabouts() w;
    END
    $$;

-- Begins a new epoch, here: what a person decides for a copy that shall be the one from now on.
CREATE FUNCTION platform.begin_epoch() RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
    DECLARE
        begun bigint;
    BEGIN
        PERFORM platform.this_installation();
        UPDATE platform.installation i
            SET epoch = greatest(i.epoch + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint),
                system_id = w.system_id, database_id = w.database_id, word = NULL, word_before = NULL, said_at = NULL,
                began_at = clock_timestamp()
            FROM platform.whereabouts() w WHERE i.one
            RETURNING i.epoch INTO begun;
        RETURN begun;
    END
    $$;

REVOKE ALL ON FUNCTION platform.whereabouts(), platform.this_installation(), platform.begin_epoch() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION platform.this_installation(), platform.begin_epoch() TO progress_worker;
