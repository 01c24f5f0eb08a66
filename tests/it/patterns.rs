//! Every worked example of `docs/patterns` is carried out as its recipe says; and a comparison that finds a difference takes a
//! rollout back.

use std::{collections::BTreeMap, path::PathBuf};

use progress_service::model::{Clock, Ids};
use serde_json::{Value, json};

use crate::support::{app::TestApp, patience, pg::TestDatabase, process::command};

const TENANT: &str = "00000000-0000-4000-8000-000000000001";
const ROWS: i64 = 3_000;

/// A service with the module `shop` of an example, as the release before had it, and the command line beside it.
struct Stage {
    app: TestApp,
    example: PathBuf,
    variables: BTreeMap<String, String>,
}

impl Stage {
    async fn set(db: TestDatabase, example: &str) -> Self {
        let example = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/patterns").join(example);
        let folder = example.to_string_lossy().into_owned();
        let variables = [("PROGRESS_MIGRATIONS_PLUGIN_DIR", folder.as_str())];
        let app = TestApp::with(db, &variables, Clock::system(), Ids::random()).await;
        let variables = app.variables([("PROGRESS_MIGRATIONS_PLUGIN_DIR", folder)]);
        Self { app, example, variables }
    }

    /// What a command says, which has to succeed.
    fn run(&self, arguments: &[&str]) -> Vec<Value> {
        let (code, lines, why) = self.tried(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {lines:?} {why}");
        lines
    }

    fn tried(&self, arguments: &[&str]) -> (Option<i32>, Vec<Value>, String) {
        let output = command(&[arguments, &["--json"]].concat(), &self.variables).output().unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        let lines = serde_json::Deserializer::from_str(&lines).into_iter().map_while(Result::ok).collect();
        (output.status.code(), lines, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    async fn sql(&self, sql: &str) {
        self.app.db.superuser().await.batch_execute(sql).await.unwrap();
    }

    async fn count(&self, condition: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM shop.things t WHERE {condition}");
        self.app.db.superuser().await.query_one(&sql, &[]).await.unwrap().get(0)
    }

    fn begin(&self) {
        let plan = self.example.join("plan.toml");
        let plan = plan.to_string_lossy();
        let planned = self.run(&["rollout", "plan", &plan]);
        assert_eq!(planned[0]["faults"], json!([]));
        self.run(&["rollout", "start", &plan, "--by", "ann"]);
    }

    fn now(&self) -> Value {
        self.run(&["rollout", "status"])[0].clone()
    }

    /// Applies the files that the rollout waits for, until it is at the approval of its contract, or at its end.
    async fn goes_as_far_as(&self, word: &str) {
        let mut applied = Vec::new();
        let look = async || {
            let now = self.now();
            let why = now["why"].as_str().unwrap_or_default().to_owned();
            if now["state"] == word || why.contains(word) {
                return Ok(());
            }
            assert!(!["rolled_back", "aborted"].contains(&now["state"].as_str().unwrap()), "{now}");
            let waits = why.split_once(" not applied").map(|(files, _)| files.split(", ")).into_iter().flatten();
            if let Some(file) = waits.map(str::to_owned).find(|file| !applied.contains(file)) {
                let one = ["migrations", "run", "--module", "shop", "--force", "--steps", "1", "--by", "ann"];
                let (approved, no_backup) = (["--approved-by", "bob"], ["--override", "backup", "--reason", "a test"]);
                let (code, said, why) = self.tried(&[&one[..], &approved, &no_backup].concat());
                // 5: files of later steps wait.
                assert!(
                    matches!(code, Some(0 | 5)) && said[0]["done"][0]["file"] == file[5..],
                    "{file}: {said:?} {why}"
                );
                applied.push(file);
            }
            Err(now)
        };
        patience::until(word, look).await;
    }

    async fn contracts(&self, name: &str) {
        self.goes_as_far_as("somebody else approves").await;
        self.run(&["rollout", "approve", name, "--by", "bob"]);
        self.goes_as_far_as("done").await;
    }

    fn walk(&self, name: &str, again: bool) {
        let more: &[&str] = if again { &["--again", "--follow"] } else { &["--follow"] };
        let said = self.run(&[&["backfill", "run", name][..], more].concat());
        assert_eq!(said.last().unwrap()["state"], json!("succeeded"), "{said:?}");
    }
}

on_each_server! {
    async fn a_column_takes_the_place_of_another_while_old_programs_write(db: TestDatabase) {
        let stage = Stage::set(db, "dual-write").await;
        stage.sql(&format!(
            "INSERT INTO shop.things SELECT '{TENANT}', n, CASE WHEN n % 7 > 0 THEN 'c' || n % 5 END FROM generate_series(1, {ROWS}) n;
             CREATE TABLE public.written AS SELECT id, colour FROM shop.things"
        )).await;
        // A program of the release before, which knows nothing of paint.
        let old = stage.app.db.superuser().await;
        let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
        let writer = tokio::spawn(async move {
            let mut number = 0_i64;
            while stopped.try_recv().is_err() {
                number += 1;
                let sql = format!(
                    "BEGIN;
                     INSERT INTO shop.things (tenant_id, id, colour) VALUES ('{TENANT}', {ROWS} + {number}, 'new');
                     INSERT INTO public.written VALUES ({ROWS} + {number}, 'new');
                     UPDATE shop.things SET colour = 'again {number}' WHERE id = {number} * 37 % {ROWS};
                     UPDATE public.written SET colour = 'again {number}' WHERE id = {number} * 37 % {ROWS};
                     COMMIT"
                );
                old.batch_execute(&sql).await.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            number
        });
        stage.begin();
        stage.goes_as_far_as("somebody else approves").await;
        // One of the new release writes paint alone.
        stage.sql("UPDATE shop.things SET paint = 'by a new program' WHERE id = 5; UPDATE public.written SET colour = 'by a new program' WHERE id = 5").await;
        stop.send(()).unwrap();
        assert!(writer.await.unwrap() > 10);
        stage.contracts("paint").await;
        let differ = "(SELECT w.colour FROM public.written w WHERE w.id = t.id) IS DISTINCT FROM t.paint";
        assert_eq!(stage.count(differ).await, 0);
        let written: i64 = stage.app.db.superuser().await.query_one("SELECT count(*) FROM public.written", &[]).await.unwrap().get(0);
        assert_eq!(stage.count("true").await, written);
        assert!(stage.app.db.superuser().await.query("SELECT colour FROM shop.things", &[]).await.is_err());
    }
}

on_the_newest_server! {
    async fn a_new_column_is_filled_and_then_demanded(db: TestDatabase) {
        let stage = Stage::set(db, "backfill").await;
        stage.sql(&format!("INSERT INTO shop.things SELECT '{TENANT}', n, repeat('é', (n % 9)::int) FROM generate_series(1, {ROWS}) n")).await;
        stage.begin();
        stage.goes_as_far_as("done").await;
        assert_eq!(stage.count("letters <> char_length(name) OR letters <> id % 9").await, 0);
        let without = format!("INSERT INTO shop.things VALUES ('{TENANT}', 0, 'x')");
        let refused = stage.app.db.superuser().await.batch_execute(&without).await.unwrap_err();
        assert!(refused.as_db_error().unwrap().message().contains("always_letters"), "{refused}");
    }

    async fn what_is_written_anew_in_its_place_can_be_taken_back_until_its_contract(db: TestDatabase) {
        let stage = Stage::set(db, "in-place").await;
        stage.sql(&format!(
            "INSERT INTO shop.things SELECT '{TENANT}', n, CASE n % 3 WHEN 0 THEN 'Ann' || n || '@Example.com' WHEN 1 THEN 'bob@example.com' END
             FROM generate_series(1, {ROWS}) n;
             CREATE TABLE public.before AS SELECT id, mail FROM shop.things"
        )).await;
        stage.begin();
        stage.goes_as_far_as("somebody else approves").await;
        let (small, as_before) = ("mail <> lower(mail)", "mail IS DISTINCT FROM (SELECT b.mail FROM public.before b WHERE b.id = t.id)");
        assert_eq!((stage.count(small).await, stage.count(as_before).await), (0, ROWS / 3));
        // The way back, and once more.
        stage.walk("shop/DM003_back", false);
        assert_eq!((stage.count(as_before).await, stage.count("mail_before IS NOT NULL").await), (0, 0));
        stage.walk("shop/DM001_small_letters", true);
        stage.contracts("small-letters").await;
        let same = "lower(mail) IS DISTINCT FROM (SELECT lower(b.mail) FROM public.before b WHERE b.id = t.id)";
        assert_eq!((stage.count(small).await, stage.count(same).await), (0, 0));
    }

    async fn rows_of_another_shape_are_extracted_transformed_and_loaded(db: TestDatabase) {
        let stage = Stage::set(db, "extract").await;
        stage.sql(&format!(
            "INSERT INTO shop.things SELECT '{TENANT}', n, CASE n % 4 WHEN 0 THEN '' WHEN 1 THEN 'one' ELSE 'a, b ,' || n END
             FROM generate_series(1, {ROWS}) n"
        )).await;
        stage.begin();
        stage.contracts("tags").await;
        let tags = async |of: i64| -> Vec<String> {
            let sql = "SELECT tag FROM shop.tags WHERE thing_id = $1 ORDER BY place";
            stage.app.db.superuser().await.query(sql, &[&of]).await.unwrap().iter().map(|row| row.get(0)).collect()
        };
        assert_eq!((tags(4).await, tags(5).await, tags(6).await), (vec![], vec!["one".to_owned()], vec!["a".to_owned(), "b".to_owned(), "6".to_owned()]));
        let all: i64 = stage.app.db.superuser().await.query_one("SELECT count(*) FROM shop.tags", &[]).await.unwrap().get(0);
        assert_eq!(all, ROWS / 4 + ROWS / 2 * 3);
    }

    async fn a_comparison_that_finds_a_difference_takes_everything_back(db: TestDatabase) {
        let stage = Stage::set(db, "dual-write").await;
        stage.sql(&format!("INSERT INTO shop.things SELECT '{TENANT}', n, 'red' FROM generate_series(1, {ROWS}) n")).await;
        let text = std::fs::read_to_string(stage.example.join("plan.toml")).unwrap();
        let both = "[[steps]]\nname = \"both\"\nkind = \"dual-write\"\nflag = \"xapi.page_default\"\nvalue = \"50\"\nneeds = [\"fill\"]\n";
        let text = text.split("[[steps]]\nname = \"contract\"").next().unwrap().replace("needs = [\"fill\"]", "needs = [\"both\"]") + both;
        let folder = tempfile::tempdir().unwrap();
        let plan = folder.path().join("plan.toml");
        std::fs::write(&plan, &text).unwrap();
        let plan = plan.to_string_lossy();
        // A comparison that was made before says nothing of what is written since.
        stage.sql("ALTER TABLE shop.things ADD COLUMN paint text; UPDATE shop.things SET paint = colour").await;
        stage.walk("shop/DM002_same", false);
        stage.sql(
            "ALTER TABLE shop.things DROP COLUMN paint;
             CREATE FUNCTION public.wrong() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.paint := ''wrong''; RETURN NEW; END';
             CREATE TRIGGER zz_wrong BEFORE UPDATE ON shop.things FOR EACH ROW WHEN (NEW.id = 7) EXECUTE FUNCTION public.wrong()"
        ).await;
        // A backfill that is not through is not gone past by hand.
        stage.run(&["backfill", "speed", "shop/DM001_paint", "1"]);
        stage.run(&["rollout", "start", &plan, "--by", "ann"]);
        stage.goes_as_far_as("the backfill shop/DM001_paint is not verified yet").await;
        let (code, _, why) = stage.tried(&["rollout", "advance", "paint", "--by", "bob"]);
        assert!(code == Some(1) && why.contains("proven, not taken for granted"), "{why}");
        stage.run(&["backfill", "speed", "shop/DM001_paint", "100"]);
        let ended = async || {
            let now = stage.now();
            if now["state"] == "rolled_back" { Ok(now) } else { Err(now) }
        };
        let why = patience::until("it is taken back", ended).await["why"].as_str().unwrap().to_owned();
        let found = format!("1 of {ROWS} rows differ: SELECT t.tenant_id, t.id FROM shop.things t WHERE (t.paint IS DISTINCT FROM t.colour)");
        assert!(why.contains(&found), "{why}");
        let report = stage.run(&["rollout", "report", "paint"]);
        let what: Vec<&str> = report[1..].iter().filter_map(|event| event["what"].as_str()).filter(|what| *what != "holds").collect();
        assert_eq!(what, ["started", "done", "done", "set", "done", "comparing", "worse", "rolled_back"]);
        let flags = "SELECT value FROM platform.flags WHERE name = 'xapi.page_default' ORDER BY number DESC LIMIT 1";
        let value: Option<Value> = stage.app.db.superuser().await.query_one(flags, &[]).await.unwrap().get(0);
        assert_eq!(value, None, "nothing is written in both forms any more");
    }
}
