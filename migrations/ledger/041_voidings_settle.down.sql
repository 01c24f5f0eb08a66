REVOKE UPDATE (voids_only_of) ON ledger.refs FROM progress_worker;
