-- Description: whom a rollout tells what it does, and how far each of them was told
-- Breaking: no
-- Manual: no
-- Lock: none

CREATE TABLE platform.rollout_receivers (
    rollout_id uuid NOT NULL,
    -- A name in `rollout.receivers` of the configuration, where its address and secret stand; or `events`, which is the outbox.
    receiver text NOT NULL CHECK (receiver ~ '^[a-z0-9-]{1,63}$'),
    -- The number of the last event that it was told, and when.
    told bigint NOT NULL DEFAULT 0,
    told_at timestamptz,
    -- It was told how the rollout ended: nothing comes after that.
    is_over boolean NOT NULL DEFAULT false,
    -- Tries in a row that came to nothing, why the last one did, and before when there is no other.
    failures integer NOT NULL DEFAULT 0,
    last_error text,
    failed_at timestamptz,
    retry_at timestamptz,
    -- Since when it is not tried any more, until a person asks for it.
    given_up_at timestamptz,
    PRIMARY KEY (rollout_id, receiver)
);
-- What the nodes look at every second.
CREATE INDEX rollout_receivers_to_tell ON platform.rollout_receivers (rollout_id) WHERE NOT is_over;
GRANT SELECT, INSERT, UPDATE (told, told_at, is_over, failures, last_error, failed_at, retry_at, given_up_at)
    ON platform.rollout_receivers TO progress_worker;
