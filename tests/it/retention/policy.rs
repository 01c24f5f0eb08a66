//! Rules and who may change them: what a law keeps is shortened by two persons, and the database itself sees to it.

use std::time::Duration;

use progress_service::{
    model::retention::Rule,
    retention::{Change, RetentionError, Unit, plan::Principle},
};
use tokio_postgres::error::SqlState;

use super::{TENANT, retention, rule, set};
use crate::{
    lifecycle::{MARCH, fill},
    support::{app::TestApp, pg::TestDatabase},
};

/// What the database says to a statement of this role.
async fn refused(db: &TestDatabase, role: &str, sql: &str) -> SqlState {
    let client = db.service().await;
    client.batch_execute(&format!("SET ROLE {role}; SET app.tenant_id = '{TENANT}'")).await.unwrap();
    let error = client.batch_execute(sql).await.expect_err(sql);
    error.code().cloned().expect("a refusal of the database's")
}

/// Makes the default tenant a regulated one.
async fn regulate(retention: &progress_service::retention::Retention) {
    let change = Change::Class { tenant: TENANT, class: "regulated".to_owned() };
    let preview = retention.preview(change).await.unwrap();
    assert!(preview.guarded.is_none(), "to keep longer nobody has to sign");
    retention.change(&preview, ("a contract", "ann"), None).await.unwrap();
}

on_each_server! {
    async fn what_a_law_keeps_is_shortened_by_two_persons_who_saw_the_same_plan(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let retention = retention(&app.db, Duration::ZERO);
        regulate(&retention).await;
        let change = |keep| Change::Rule(rule(None, "regulated", Some(keep), None));
        let shorter = retention.preview(change(1_800)).await.unwrap();
        assert_eq!(shorter.guarded.as_deref(), Some("regulated"));
        let asked = retention.change(&shorter, ("they asked", "ann"), None).await.unwrap_err();
        let RetentionError::NeedsSignOff { digest, .. } = asked else { panic!("{asked}") };
        let unsigned = retention.change(&shorter, ("they asked", "ann"), Some(&digest)).await.unwrap_err();
        assert!(matches!(unsigned, RetentionError::NeedsSignOff { .. }), "{unsigned}");
        for own in ["ann", " Ann "] {
            assert!(matches!(retention.sign_off(&digest, own, "mine").await.unwrap_err(), RetentionError::SamePerson(_)));
        }
        assert!(matches!(retention.sign_off("0123", "bob", "?").await.unwrap_err(), RetentionError::NoRequest(_)));
        retention.sign_off(&digest, "bob", "the law changed").await.unwrap();
        let other = retention.preview(change(900)).await.unwrap();
        let error = retention.change(&other, ("more", "ann"), Some(&digest)).await.unwrap_err();
        assert!(matches!(error, RetentionError::NeedsSignOff { .. }), "what was signed was another change: {error}");
        retention.change(&shorter, ("they asked", "ann"), Some(&digest)).await.unwrap();
        let (_, rules) = retention.policy(None, false).await.unwrap();
        let now = rules.iter().find(|one| one.rule.class == "regulated" && one.rule.covers.name() == "statements").unwrap();
        assert_eq!((now.rule.keep, now.signed_off.as_deref()), (Some(1_800), Some(digest.as_str())));
        let (_, history) = retention.policy(None, true).await.unwrap();
        assert_eq!(history.len(), rules.len() + 1, "the one before is still told");
        let freed = retention.preview(Change::Class { tenant: TENANT, class: "standard".to_owned() }).await.unwrap();
        assert_eq!(freed.guarded.as_deref(), Some("regulated"), "so is taking a tenant out of it");
    }

    async fn no_role_shortens_or_signs_alone_by_whatever_sql(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let retention = retention(&app.db, Duration::ZERO);
        regulate(&retention).await;
        let shorter = retention.preview(Change::Rule(rule(None, "regulated", None, None))).await.unwrap();
        let error = retention.change(&shorter, ("x", "ann"), None).await.unwrap_err();
        let RetentionError::NeedsSignOff { digest, .. } = error else { panic!("{error}") };
        let shorten = "INSERT INTO ledger.retention_rules (class, covers, starts, keep_days, reason, set_by) VALUES ('regulated', 'statements', 'stored', 1, 'x', 'x')";
        let free = format!("INSERT INTO ledger.retention_assignments (tenant_id, class, reason, set_by) VALUES ('{TENANT}', 'standard', 'x', 'x')");
        let sign = |by: &str, asked: &str| format!("INSERT INTO ledger.retention_sign_offs (digest, requested_by, signed_by, reason) VALUES ('{digest}', '{asked}', '{by}', 'x')");
        let forged = "INSERT INTO ledger.retention_requests (digest, plan, requested_by) VALUES ('00', '{}', 'x')";
        let rewrites = ["UPDATE ledger.retention_rules SET keep_days = 1", "DELETE FROM ledger.retention_rules",
            "UPDATE ledger.retention_classes SET needs_sign_off = false", "UPDATE ledger.removals SET due_at = now()"];
        for role in ["progress_service", "progress_worker", "progress_eraser"] {
            for sql in [shorten, &free, &sign("bob", "ann"), forged].into_iter().chain(rewrites) {
                assert_eq!(refused(&app.db, role, sql).await, SqlState::INSUFFICIENT_PRIVILEGE, "{role}: {sql}");
            }
        }
        for (sql, code) in [
            (shorten.to_owned(), SqlState::INSUFFICIENT_PRIVILEGE),
            (free, SqlState::INSUFFICIENT_PRIVILEGE),
            (sign("ann", "ann"), SqlState::CHECK_VIOLATION),
            (sign("ANN ", "ann"), SqlState::CHECK_VIOLATION),
            (sign("bob", "cem"), SqlState::FOREIGN_KEY_VIOLATION),
            (forged.to_owned(), SqlState::CHECK_VIOLATION),
        ].into_iter().chain(rewrites.map(|sql| (sql.to_owned(), SqlState::INSUFFICIENT_PRIVILEGE))) {
            assert_eq!(refused(&app.db, "progress_retention", &sql).await, code, "{sql}");
        }
    }

    async fn keep_beats_delete_also_for_raw_sql(db: TestDatabase) {
        let app = TestApp::start(db).await;
        fill(&app, MARCH, 1, 5).await;
        let retention = retention(&app.db, Duration::ZERO);
        regulate(&retention).await;
        set(&retention, rule(None, "regulated", Some(2_557), Some(30))).await;
        let plan = retention.plan(Some(TENANT), None).await.unwrap();
        let line = plan.units.iter().find(|unit| unit.rows == 5).expect("the month");
        assert_eq!((line.goes(), line.principle), (false, Principle::KeepBeatsDelete));
        assert_eq!(refused(&app.db, "progress_retention", "DELETE FROM ledger.statements").await, SqlState::OBJECT_IN_USE);
    }

    async fn a_change_is_shown_before_anything_happens_and_bad_ones_are_refused(db: TestDatabase) {
        let app = TestApp::start(db).await;
        fill(&app, MARCH, 1, 5).await;
        let retention = retention(&app.db, Duration::ZERO);
        let preview = retention.preview(Change::Rule(rule(Some(TENANT), "standard", None, Some(60)))).await.unwrap();
        let effect = preview.effects.iter().find(|one| one.after.as_ref().is_some_and(Unit::goes)).expect("an effect");
        assert_eq!(effect.after.as_ref().unwrap().rows, 5);
        assert!(retention.policy(Some(TENANT), false).await.unwrap().1.iter().all(|one| one.rule.tenant.is_none()));
        let unknown = Change::Rule(Rule { class: "never".to_owned(), ..rule(None, "standard", None, Some(9)) });
        assert!(matches!(retention.preview(unknown).await.unwrap_err(), RetentionError::NoClass(_)));
        for bad in ["course 7", "", "nowhere"] {
            assert!(progress_service::retention::who::course(TENANT, bad).is_err(), "{bad}");
        }
        let seen = retention.apply(Some(TENANT), (Some("0123"), "ann"), true).await.unwrap_err();
        assert!(matches!(seen, RetentionError::Changed { .. }), "{seen}");
    }
}
