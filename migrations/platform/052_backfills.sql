-- Description: how fast backfills go, and which are done, with what they came to
-- Breaking: no
-- Manual: no
-- Lock: none

CREATE TABLE platform.backfills (
    module text NOT NULL,
    file text NOT NULL,
    -- Of the text that was, or is, walked through with.
    checksum text NOT NULL,
    -- Parts of a hundred of the time that it may work.
    speed integer NOT NULL DEFAULT 100 CHECK (speed BETWEEN 1 AND 100),
    job_id uuid,
    -- When every row was looked at again and none remained; absent before.
    verified_at timestamptz,
    rows_seen bigint,
    rows_changed bigint,
    digest text,
    PRIMARY KEY (module, file)
);
GRANT SELECT, INSERT, UPDATE ON platform.backfills TO progress_worker;
