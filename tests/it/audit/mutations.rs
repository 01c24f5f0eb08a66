//! What a superuser does to the log behind everybody's back, a thousand times and more: every time it is found.

use progress_service::{
    audit::{
        Audit, Finding, Rule,
        commitment::{commitment, entry_key, text},
        merkle::{Edge, leaf},
        note::{Signer, Tree, origin},
    },
    store::{
        As,
        platform::{audit::EntryId, audit_log},
    },
};
use tokio_postgres::Client;
use uuid::Uuid;

use super::{act, folder, is_clean, over, said, verify};
use crate::support::pg::TestDatabase;

const ENTRIES: i64 = 300;
const TABLES: [&str; 7] =
    ["audit", "audit_pending", "audit_leaves", "audit_subtrees", "audit_checkpoints", "audit_anchors", "audit_keys"];

/// A change, and what a finding must say of it: its rule, and the entry or place where one is meant.
struct Mutation {
    sql: String,
    rule: Rule,
    entry: Option<i64>,
    index: Option<i64>,
}

impl Mutation {
    fn is_found(&self, findings: &[Finding]) -> bool {
        findings.iter().any(|found| {
            found.rule == self.rule
                && self.entry.is_none_or(|entry| found.entry == Some(EntryId(entry)))
                && self.index.is_none_or(|index| found.index == Some(index))
        })
    }
}

fn of_entry(rule: Rule, entry: i64, sql: String) -> Mutation {
    Mutation { sql, rule, entry: Some(entry), index: None }
}

fn of_log(rule: Rule, sql: impl Into<String>) -> Mutation {
    Mutation { sql: sql.into(), rule, entry: None, index: None }
}

const AUDIT: &str = "platform.audit";
const LEAVES: &str = "platform.audit_leaves";

/// What is done to single entries, each kind to many of them. Those of one kind touch different entries, so that ten are done at once
/// and each must be named. Entry n has the place n - 1.
fn to_entries() -> Vec<Vec<Mutation>> {
    use Rule::{Changed, Inserted, Removed};
    // They jump around, and none comes twice.
    let ids = || (0..100).map(|n| (n * 7_919 + 31) % ENTRIES + 1);
    let columns = [
        "actor = actor || 'x'",
        "action = 'another'",
        "subject = upper(subject)",
        "detail = detail || '{\"more\": 1}'",
        "at = at + interval '1 microsecond'",
        "tenant_id = '00000000-0000-4000-8000-0000000000ff'",
    ];
    let mut kinds: Vec<Vec<Mutation>> = columns
        .iter()
        .map(|set| {
            ids().map(|id| of_entry(Changed, id, format!("UPDATE {AUDIT} SET {set} WHERE audit_id = {id}"))).collect()
        })
        .collect();
    kinds.push(ids().map(|id| of_entry(Removed, id, format!("DELETE FROM {AUDIT} WHERE audit_id = {id}"))).collect());
    let forged = |id| format!("UPDATE {LEAVES} SET commitment = sha256(commitment) WHERE audit_id = {id}");
    kinds.push(ids().map(|id| of_entry(Changed, id, forged(id))).collect());
    // An entry and its place are gone.
    let gone = |id| format!("DELETE FROM {LEAVES} WHERE audit_id = {id}; DELETE FROM {AUDIT} WHERE audit_id = {id}");
    let gone = |id| Mutation { sql: gone(id), rule: Removed, entry: None, index: Some(id - 1) };
    kinds.push(ids().filter(|id| *id < ENTRIES).map(gone).collect());
    let inserted =
        |id| format!("INSERT INTO {AUDIT} OVERRIDING SYSTEM VALUE VALUES ({id}, NULL, now(), 'x', 'x', 'x', '{{}}')");
    kinds.push(ids().map(|id| of_entry(Inserted, id + 1_000, inserted(id + 1_000))).collect());
    // An entry gets another number, in the trail and in the log.
    let renamed = |id, new| {
        format!(
            "UPDATE {LEAVES} SET audit_id = {new} WHERE audit_id = {id};
             INSERT INTO {AUDIT} OVERRIDING SYSTEM VALUE
                 SELECT {new}, tenant_id, at, actor, action, subject, detail FROM {AUDIT} WHERE audit_id = {id};
             DELETE FROM {AUDIT} WHERE audit_id = {id}"
        )
    };
    kinds.push(ids().map(|id| of_entry(Changed, id + 1_000, renamed(id, id + 1_000))).collect());
    // Two entries change places: what they say, and where they stand.
    let pairs = || (1..=100).map(|one| (one, one + 151));
    let said = |(one, other)| {
        let sql = format!(
            "UPDATE {AUDIT} a SET subject = b.subject FROM {AUDIT} b
             WHERE a.audit_id IN ({one}, {other}) AND b.audit_id = {one} + {other} - a.audit_id"
        );
        of_entry(Changed, one, sql)
    };
    kinds.push(pairs().map(said).collect());
    let stood = |(one, other)| {
        let sql = format!(
            "UPDATE {LEAVES} SET leaf_index = leaf_index + 100000 WHERE audit_id IN ({one}, {other});
             UPDATE {LEAVES} SET leaf_index = CASE audit_id WHEN {one} THEN {other} ELSE {one} END - 1
                 WHERE audit_id IN ({one}, {other})"
        );
        of_entry(Changed, other, sql)
    };
    kinds.push(pairs().map(stood).collect());
    kinds
}

/// What is done to the log as a whole, one at a time.
fn to_the_log() -> Vec<Mutation> {
    use Rule::{Anchor, Changed, Checkpoint, Key, Removed, Sealed, Subtree, Truncated};
    let mut all = Vec::new();
    let checkpoints = "platform.audit_checkpoints";
    for n in 1..10 {
        let size = n * 30;
        // The end is cut off, with everything the database knows of it.
        let end = size + n;
        all.push(of_log(Truncated, format!(
            "DELETE FROM {LEAVES} WHERE audit_id > {end}; DELETE FROM {AUDIT} WHERE audit_id > {end};
             DELETE FROM {checkpoints} WHERE tree_size > {end}; DELETE FROM platform.audit_anchors WHERE tree_size > {end};
             DELETE FROM platform.audit_subtrees WHERE (number + 1) * 256 > {end}")));
        all.push(of_log(Checkpoint, format!("DELETE FROM {checkpoints} WHERE tree_size = {size}")));
        for set in [
            "root_hash = sha256(root_hash)",
            "signed_at = signed_at - interval '1 day'",
            "epoch = epoch + 1",
            "note = replace(note, 'epoch', 'era')",
        ] {
            all.push(of_log(Checkpoint, format!("UPDATE {checkpoints} SET {set} WHERE tree_size = {size}")));
        }
        all.push(of_log(
            Anchor,
            format!("UPDATE platform.audit_anchors SET detail = '{{\"key\": \"elsewhere\"}}' WHERE tree_size = {size}"),
        ));
        all.push(of_log(Checkpoint, format!("DELETE FROM platform.audit_anchors WHERE tree_size = {size}")));
    }
    all.push(of_log(Subtree, "UPDATE platform.audit_subtrees SET hash = sha256(hash)"));
    all.push(of_log(Subtree, "DELETE FROM platform.audit_subtrees"));
    all.push(of_log(Subtree, "INSERT INTO platform.audit_subtrees VALUES (2, 0, sha256('x'))"));
    all.push(of_log(Changed, "UPDATE platform.audit_keys SET key = sha256(key)"));
    all.push(of_log(Sealed, "DELETE FROM platform.audit_keys"));
    all.push(of_log(Sealed, "UPDATE platform.audit_keys SET key = NULL, destroyed_at = now()"));
    all.push(of_log(Removed, "INSERT INTO platform.audit_pending VALUES (4711)"));
    all.push(of_log(Key, "UPDATE platform.signing_keys SET key = sha256(key) WHERE purpose = 'audit-log'"));
    all
}

async fn without_guards(superuser: &Client) {
    for table in TABLES {
        let sql = format!(
            "CREATE TABLE public.kept_{table} AS SELECT * FROM platform.{table};
                           ALTER TABLE platform.{table} DISABLE TRIGGER USER"
        );
        superuser.batch_execute(&sql).await.unwrap();
    }
    superuser.batch_execute("CREATE TABLE public.kept_signing AS SELECT * FROM platform.signing_keys").await.unwrap();
}

async fn put_back(superuser: &Client) {
    for table in TABLES {
        let sql = format!(
            "DELETE FROM platform.{table};
                           INSERT INTO platform.{table} OVERRIDING SYSTEM VALUE SELECT * FROM public.kept_{table}"
        );
        superuser.batch_execute(&sql).await.unwrap();
    }
    let keys = "UPDATE platform.signing_keys s SET key = k.key FROM public.kept_signing k WHERE k.purpose = s.purpose";
    superuser.batch_execute(keys).await.unwrap();
}

/// A log that was signed and anchored every thirty entries.
async fn grown(db: &TestDatabase, objects: std::sync::Arc<dyn object_store::ObjectStore>) -> Audit {
    let audit = over(&db.store(), objects);
    for _ in 0..ENTRIES / 30 {
        act(&db.store(), 30).await;
        audit.settle().await.unwrap();
        audit.anchor().await.unwrap();
    }
    audit
}

on_the_newest_server! {
    async fn a_thousand_mutations_by_a_superuser_are_found(db: TestDatabase) {
        let real = folder();
        let audit = grown(&db, real.store()).await;
        is_clean(&verify(&audit).await);
        let (superuser, store) = (db.superuser().await, db.store());
        without_guards(&superuser).await;
        let kinds = to_entries();
        let whole = to_the_log();
        let count = kinds.iter().map(Vec::len).sum::<usize>() + whole.len();
        assert!(count >= 1_000, "{count} mutations");
        let together = kinds.iter().flat_map(|kind| kind.chunks(10)).chain(whole.chunks(1));
        for mutations in together {
            for Mutation { sql, .. } in mutations {
                superuser.batch_execute(sql).await.unwrap_or_else(|error| panic!("{error:?}: {sql}"));
            }
            // A node that starts now, and knows nothing from before.
            let report = verify(&over(&store, real.store())).await;
            for mutation in mutations {
                assert!(mutation.is_found(&report.findings), "not found: {}\n{}", mutation.sql, said(&report));
            }
            assert!(report.known.is_none());
            put_back(&superuser).await;
        }
        is_clean(&verify(&audit).await);
    }

    // Everything in the database is consistent: the thief has the keys and signs a new log. Only what lies outside tells.
    async fn a_superuser_who_writes_the_log_anew_with_its_own_keys_is_found_out(db: TestDatabase) {
        let real = folder();
        let audit = grown(&db, real.store()).await;
        let superuser = db.superuser().await;
        without_guards(&superuser).await;
        superuser.batch_execute("UPDATE platform.audit SET subject = 'nobody' WHERE audit_id = 31").await.unwrap();
        let row = superuser.query_one("SELECT installation_id, epoch FROM platform.installation", &[]).await.unwrap();
        let (installation, epoch): (Uuid, i64) = (row.get(0), row.get(1));
        let placed = db.store()
            .run_tx("placed", As::Worker, |tx| Box::pin(audit_log::place_many(tx, 0, ENTRIES))).await.unwrap();
        let signer = Signer::new(&db.store().signing_key("audit-log").await.unwrap()).unwrap();
        let mut edge = Edge::default();
        for one in &placed {
            let entry = one.entry.as_ref().unwrap();
            let key = entry_key(&one.key.unwrap(), one.leaf.index, entry.id);
            let new = commitment(&key, &text(installation, entry));
            superuser.execute("UPDATE platform.audit_leaves SET commitment = $1 WHERE leaf_index = $2",
                              &[&new.as_slice(), &one.leaf.index]).await.unwrap();
            for (node, hash) in edge.push(leaf(&new)) {
                if node.height == 8 {
                    superuser.execute("UPDATE platform.audit_subtrees SET hash = $1", &[&hash.as_slice()]).await.unwrap();
                }
            }
            let size = one.leaf.index + 1;
            if size % 30 == 0 {
                let at = superuser.query_one("SELECT signed_at FROM platform.audit_checkpoints WHERE tree_size = $1", &[&size]).await.unwrap().get(0);
                let note = signer.sign(&origin(installation), &Tree { size, root: edge.root(), epoch, at });
                superuser.execute("UPDATE platform.audit_checkpoints SET root_hash = $1, note = $2 WHERE tree_size = $3",
                                  &[&edge.root().as_slice(), &note, &size]).await.unwrap();
            }
        }
        let report = verify(&audit).await;
        assert!(!report.findings.is_empty() && report.findings.iter().all(|finding| finding.rule == Rule::Forked), "{}", said(&report));
        assert!(said(&report).contains("the first 60 entries are not those that _audit/"), "{}", said(&report));
        assert!(!said(&report).contains("the first 30 entries"), "what was signed before is right: {}", said(&report));
        // Had nothing been brought outside, nobody could tell: that is what anchors are for.
        let alone = folder();
        let unanchored = verify(&over(&db.store(), alone.store())).await;
        assert!(unanchored.findings.iter().all(|finding| finding.rule == Rule::Anchor), "{}", said(&unanchored));
        // Whoever says that the epoch ended with a restore gets what is left of it.
        let ended = progress_service::audit::Look { ended: [epoch].into(), ..Default::default() };
        is_clean(&audit.verify(&ended).await.unwrap());
    }
}
