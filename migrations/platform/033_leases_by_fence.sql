-- Description: let a transaction hold on to a lease's fence without keeping its holder from renewing the lease
-- Breaking: no
-- Manual: no
-- Lock: share-update
-- progress: no-transaction

-- As a part of a key, the fence is what FOR KEY SHARE guards: to take a lease over waits for such a lock, to renew it does not.
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS leases_by_fence ON platform.leases (name, fence);
