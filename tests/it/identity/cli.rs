//! The same acts from the command line.

use std::collections::BTreeMap;

use serde_json::Value;

use super::setup::{basic, clock, node};
use crate::support::{pg::TestDatabase, process::command};

/// Runs the binary; answers its exit code and the JSON lines it printed.
fn run(db: &TestDatabase, arguments: &[&str]) -> (Option<i32>, Vec<Value>, String) {
    let variables = [("PROGRESS_DATABASE_URL", db.service_url()), ("PROGRESS_DATABASE_MIGRATION_URL", db.owner_url())];
    let variables = BTreeMap::from(variables.map(|(name, value)| (name.to_owned(), value)));
    let output = command(arguments, &variables).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output.status.code(), lines, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Runs what must succeed and print one line.
fn one(db: &TestDatabase, arguments: &[&str]) -> Value {
    let (code, mut lines, words) = run(db, arguments);
    assert_eq!((code, lines.len()), (Some(0), 1), "{words}");
    lines.remove(0)
}

on_each_server! {
    async fn tenants_and_credentials_by_command(db: TestDatabase) {
        let tenant = one(&db, &["tenants", "create", "acme", "--json"]);
        assert_eq!(tenant["status"], "active");
        let suspended = one(&db, &["tenants", "suspend", "acme", "--json"]);
        assert_eq!(suspended["status"], "suspended");
        one(&db, &["tenants", "resume", tenant["id"].as_str().unwrap(), "--json"]);
        let (_, tenants, _) = run(&db, &["tenants", "list", "--json"]);
        assert_eq!(tenants.iter().map(|t| t["name"].as_str().unwrap()).collect::<Vec<_>>(), ["acme", "default"]);

        let create = ["credentials", "create", "--tenant", "acme", "--scopes", "state,define", "--expires-in", "30d", "--json"];
        let made = one(&db, &create);
        assert_eq!(made["tenantId"], tenant["id"]);
        let id = made["id"].as_str().unwrap();
        let identity = node(&db, &progress_service::model::Clock::system());
        let secret = |issued: &Value| progress_service::model::Secret::new(issued["secret"].as_str().unwrap());
        let header = |issued: &Value| basic(issued["apiKey"].as_str().unwrap(), &secret(issued));
        identity.authenticate(&header(&made)).await.unwrap();

        let rotate = ["credentials", "rotate", id, "--tenant", "acme", "--overlap", "0s", "--json"];
        let rotated = one(&db, &rotate);
        let fresh = node(&db, &progress_service::model::Clock::system());
        assert!(fresh.authenticate(&header(&made)).await.is_err());
        fresh.authenticate(&header(&rotated)).await.unwrap();

        let (_, listed, _) = run(&db, &["credentials", "list", "--tenant", "acme", "--json"]);
        assert_eq!((listed.len(), &listed[0]["id"], listed[0].get("secret")), (1, &made["id"], None));
        let revoked = one(&db, &["credentials", "revoke", id, "--tenant", "acme", "--json"]);
        assert_ne!(revoked["revokedAt"], Value::Null);
        assert!(node(&db, &clock()).authenticate(&header(&rotated)).await.is_err());

        let (code, _, words) = run(&db, &["credentials", "revoke", id, "--json"]);
        assert_eq!(code, Some(1), "another tenant's credential is not there");
        assert!(words.contains("no such credential"), "{words}");
        let (code, _, words) = run(&db, &["credentials", "create", "--scopes", "fly"]);
        assert_eq!(code, Some(2));
        assert!(words.contains("statements/write"), "the known scopes are listed: {words}");
    }
}
