//! `retention` at the command line: plans and digests, two persons, holds, exit codes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    lifecycle::{MARCH, fill},
    support::{app::TestApp, process::command},
};

fn variables(app: &TestApp, grace: &str) -> BTreeMap<String, String> {
    app.variables([("PROGRESS_RETENTION_GRACE", grace.to_owned())])
}

fn run(variables: &BTreeMap<String, String>, arguments: &[&str]) -> (Option<i32>, Vec<Value>, String) {
    let output = command(&[&["retention"], arguments, &["--json"]].concat(), variables).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), lines.lines().map(|line| serde_json::from_str(line).expect(&errors)).collect(), errors)
}

on_the_newest_server! {
    async fn rules_are_set_marked_and_carried_out_at_the_command_line(db: TestDatabase) {
        let app = TestApp::start(db).await;
        fill(&app, MARCH, 1, 9).await;
        let variables = variables(&app, "0s");
        let set = ["policy", "set", "--tenant", "default", "--class", "standard", "--covers", "statements", "--delete", "90d", "--reason", "we said so"];
        let (code, effects, why) = run(&variables, &set);
        assert_eq!((code, &effects[0]["after"]["rows"]), (Some(0), &json!(9)), "{why}");
        let (_, listed, _) = run(&variables, &["policy", "list"]);
        assert!(listed.iter().all(|one| one["tenant"].is_null()), "a plan sets nothing");
        run(&variables, &[&set[..], &["--apply"]].concat());
        let (code, plan, _) = run(&variables, &["plan", "--tenant", "default"]);
        assert_eq!((code, &plan[0]["rows"], &plan[0]["principle"]), (Some(0), &json!(9), &json!("deleted")));
        let digest = plan.last().unwrap()["digest"].as_str().unwrap();
        let (code, _, why) = run(&variables, &["apply", "--tenant", "default", "--apply", "--plan", "0123"]);
        assert!(code == Some(1) && why.contains("the plan is not 0123 any more"), "{why}");
        let (_, marked, _) = run(&variables, &["apply", "--tenant", "default", "--apply", "--plan", digest]);
        assert_eq!((marked.len(), &marked[0]["state"]), (1, &json!("marked")));
        let hold = ["hold", "add", "--mbox", "mailto:learner3@example.com", "--reason", "a lawsuit", "--law", "Art. 17(3)(e) GDPR", "--by", "ann"];
        let (code, placed, why) = run(&variables, &hold);
        assert_eq!((code, &placed[0]["scope"]), (Some(0), &json!("person")), "{why}");
        let (_, done, _) = run(&variables, &["apply", "--tenant", "default", "--apply"]);
        assert_eq!((&done[0]["state"], &done[0]["rows"]), (&json!("removed"), &json!(8)), "{done:?}");
        let id = placed[0]["id"].as_str().unwrap();
        let (code, ended, _) = run(&variables, &["hold", "release", id, "--reason", "it ended", "--by", "ann"]);
        assert_eq!((code, &ended[0]["released"]["by"]), (Some(0), &json!("ann")));
        for bad in [&["hold", "add", "--reason", "x", "--law", "y"][..], &["hold", "add", "--mbox", "ann", "--reason", "x", "--law", "y"],
                    &["hold", "add", "--account", "ann", "--reason", "x", "--law", "y"], &["hold", "release", id, "--reason", "x"]] {
            assert_eq!(run(&variables, bad).0, Some(1), "{bad:?}");
        }
        for bad in [&["plan", "--older-than", "soon"][..], &["policy", "set", "--class", "standard", "--covers", "audit", "--reason", "x"]] {
            assert_eq!(run(&variables, bad).0, Some(2), "{bad:?}");
        }
        assert_eq!(run(&variables, &["plan", "--tenant", "nobody"]).0, Some(1));
    }

    async fn what_waits_for_another_person_says_so(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let variables = variables(&app, "7d");
        let shorter = ["policy", "set", "--class", "regulated", "--covers", "statements", "--keep", "5y", "--reason", "x", "--apply", "--by", "ann"];
        let (code, _, why) = run(&variables, &shorter);
        assert!(code == Some(5) && why.contains("retention sign-off"), "{why}");
        let (_, asked, _) = run(&variables, &["requests"]);
        let digest = asked[0]["digest"].as_str().unwrap();
        for by in ["ann", "command-line"] {
            assert_eq!(run(&variables, &["sign-off", digest, "--reason", "mine", "--by", by]).0, Some(1));
        }
        assert_eq!(run(&variables, &["sign-off", digest, "--reason", "seen", "--by", "bob"]).0, Some(0));
        let (code, _, why) = run(&variables, &[&shorter[..], &["--plan", digest]].concat());
        assert_eq!(code, Some(0), "{why}");
    }
}
