//! Whether a reference voids its target: a sender who may void only what has its own authority voids nothing else, in
//! whatever order the two arrive. Every reader of `ledger.refs` asks it in these words.

/// The condition, in SQL, on the reference `v` of a target that is stored at the moment `$at`.
macro_rules! voids_at {
    ($at:literal) => {
        concat!(
            "v.voids AND (v.voids_only_of IS NULL OR EXISTS (SELECT FROM ledger.relations whose
                 WHERE whose.tenant_id = v.tenant_id AND whose.key = v.voids_only_of AND whose.stored = ",
            $at,
            "))"
        )
    };
}
pub(in crate::store) use voids_at;
