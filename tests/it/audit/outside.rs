//! What lies outside: an object store that is gone through, a topic, a copy of the database, a witness.

use std::sync::Arc;

use progress_service::{
    audit::{Audit, Brokers, Rule, note::Verifier},
    bus::{producer::Producer, reader::TopicReader},
    config::{Environment, read},
    model::Clock,
    objects::Objects,
    telemetry::Metrics,
};

use super::{act, folder, is_clean, over, said, verify};
use crate::support::{kafka, schemas, segments::keys};

fn brokers(prefix: &str) -> Brokers {
    let brokers = kafka::brokers();
    let environment = Environment::of([
        ("PROGRESS_LISTEN", "127.0.0.1:0"),
        ("PROGRESS_KAFKA_BROKERS", brokers.as_str()),
        ("PROGRESS_KAFKA_TOPIC_PREFIX", prefix),
    ]);
    let config = read(&environment, std::path::Path::new("/nowhere")).unwrap().config.kafka;
    Brokers { producer: Arc::new(Producer::connect(&config).unwrap()), reader: TopicReader::new(&config) }
}

on_each_server! {
    async fn an_anchor_that_is_taken_away_or_changed_is_found(db: TestDatabase) {
        let (store, real) = (db.store(), folder());
        let audit = over(&store, real.store());
        for _ in 0..3 {
            act(&store, 2).await;
            audit.settle().await.unwrap();
            audit.anchor().await.unwrap();
        }
        let objects = Objects::over(real.store());
        let first = keys(&real.store()).await[0].clone();
        let note = objects.get(&first).await.unwrap();
        objects.delete(&first).await.unwrap();
        let report = verify(&audit).await;
        assert!(report.findings.len() == 1 && report.findings[0].rule == Rule::Anchor, "{}", said(&report));
        let forged = String::from_utf8(note.to_vec()).unwrap().replacen("\n2\n", "\n1\n", 1);
        objects.put(&first, forged.into()).await.unwrap();
        assert!(verify(&audit).await.findings.iter().any(|finding| finding.rule == Rule::Key));
        objects.put(&first, note).await.unwrap();
        is_clean(&verify(&audit).await);
    }

    async fn a_copy_of_the_database_anchors_nothing(db: TestDatabase) {
        let (store, real) = (db.store(), folder());
        let audit = over(&store, real.store());
        act(&store, 2).await;
        audit.settle().await.unwrap();
        audit.anchor().await.unwrap();
        let copy = db.copy().await;
        let other = over(&copy.store(), real.store());
        act(&copy.store(), 2).await;
        other.settle().await.unwrap();
        other.anchor().await.unwrap();
        assert_eq!(keys(&real.store()).await.len(), 1);
        act(&store, 1).await;
        audit.settle().await.unwrap();
        audit.anchor().await.unwrap();
        is_clean(&verify(&audit).await);
        assert!(!verify(&other).await.findings.is_empty(), "the copy's log is not the one that was signed");
    }
}

on_the_newest_server! {
    async fn checkpoints_go_to_a_topic_and_are_compared_with_it(db: TestDatabase) {
        let (store, real) = (db.store(), folder());
        let prefix = format!("{}.", kafka::unique("audit"));
        let audit = Audit::new(&store, &Objects::over(real.store()), Some(brokers(&prefix)), &Clock::system(), &Metrics::new().unwrap());
        for _ in 0..3 {
            act(&store, 2).await;
            audit.settle().await.unwrap();
            audit.anchor().await.unwrap();
        }
        let report = verify(&audit).await;
        is_clean(&report);
        assert_eq!((report.outside["objects"], report.outside["kafka"]), (3, 3));
        let topic = kafka::Topic::existing(kafka::brokers(), format!("{prefix}progress.audit.checkpoint.v1"), 6);
        schemas::check(&topic.read(3).await);
        assert_eq!(topic.property("retention.ms").await.as_deref(), Some("-1"), "it is kept for good");
        // The store is emptied and the database shortened: the topic still tells.
        for key in keys(&real.store()).await {
            Objects::over(real.store()).delete(&key).await.unwrap();
        }
        let superuser = db.superuser().await;
        superuser.batch_execute("
            ALTER TABLE platform.audit_leaves DISABLE TRIGGER USER; ALTER TABLE platform.audit DISABLE TRIGGER USER;
            ALTER TABLE platform.audit_checkpoints DISABLE TRIGGER USER; ALTER TABLE platform.audit_anchors DISABLE TRIGGER USER;
            DELETE FROM platform.audit WHERE audit_id IN (SELECT audit_id FROM platform.audit_leaves WHERE leaf_index >= 4);
            DELETE FROM platform.audit_leaves WHERE leaf_index >= 4;
            DELETE FROM platform.audit_checkpoints WHERE tree_size > 4; DELETE FROM platform.audit_anchors").await.unwrap();
        let report = verify(&audit).await;
        assert!(report.findings.iter().any(|finding| finding.rule == Rule::Truncated), "{}", said(&report));
        topic.delete().await;
    }

    async fn a_witness_signs_beside_us_and_nobody_else_does(db: TestDatabase) {
        use base64::{Engine, engine::general_purpose::STANDARD};
        use ring::{digest::{SHA256, digest}, signature::{Ed25519KeyPair, KeyPair}};
        let (store, real) = (db.store(), folder());
        let pair = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
        let key = [&[4], pair.public_key().as_ref()].concat();
        let id = digest(&SHA256, &[b"a.witness\n", key.as_slice()].concat()).as_ref()[..4].to_vec();
        let witness = Verifier::read(&format!("a.witness+{}+{}", hex::encode(&id), STANDARD.encode(&key))).unwrap();
        let sign = |note: &str, time: u64| {
            let body = &note[..=note.rfind("\n\n").unwrap()];
            let signature = pair.sign(format!("cosignature/v1\ntime {time}\n{body}").as_bytes());
            let line = [id.as_slice(), &time.to_be_bytes(), signature.as_ref()].concat();
            format!("{note}— a.witness {}\n", STANDARD.encode(line))
        };
        let unknown = over(&store, real.store());
        let audit = unknown.clone().witnessed_by(std::slice::from_ref(&witness));
        let ids = act(&store, 3).await;
        audit.settle().await.unwrap();
        let note = audit.checkpoint().await.unwrap().unwrap().note;
        let signed = sign(&note, 1_795_249_444);
        assert!(unknown.cosign(&signed).await.unwrap_err().to_string().contains("audit.witnesses"));
        assert!(audit.cosign(&note).await.unwrap_err().to_string().contains("audit.witnesses"));
        assert!(audit.cosign("x").await.unwrap_err().to_string().contains("no checkpoint"));
        let foreign = note.replacen("\n3\n", "\n2\n", 1);
        assert!(audit.cosign(&sign(&foreign, 1)).await.unwrap_err().to_string().contains("has not signed such a checkpoint"));
        let forged = signed.replacen("a.witness ", "a.witness A", 1);
        assert!(audit.cosign(&forged).await.is_err());
        assert_eq!(audit.cosign(&signed).await.unwrap().place, "witness:a.witness");
        let receipt = audit.receipt(ids[1]).await.unwrap();
        assert_eq!(receipt.checkpoint, signed);
        assert!(witness.proves(&progress_service::audit::note::Note::read(&receipt.checkpoint).unwrap()));
        is_clean(&verify(&audit).await);
    }
}
