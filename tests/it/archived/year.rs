//! A year of made-up learning, seeded, archived and brought back by the commands an operator gives, beside a service that answers all
//! the while: no query can tell.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use progress_service::model::{Clock, Ids};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    history::{Credential, Dice, as_credential, credential},
    questions::Answered,
};
use crate::support::{
    app::{TestApp, send},
    pg::TestDatabase,
    process::command,
    settings,
};

/// How many statements the year has; a longer proof names more in `TEST_YEAR_STATEMENTS`.
const STATEMENTS: u32 = 300_000;
const QUESTIONS: usize = 500;
/// Of an answer so many pages are read: a whole year has thousands.
const PAGES: usize = 3;

/// The commands, and the service that goes on meanwhile.
struct Year {
    app: TestApp,
    variables: BTreeMap<String, String>,
    tenant: Credential,
    /// Where the archive lies, for as long as the test runs.
    _folder: TempDir,
}

type Parameters = Vec<(&'static str, String)>;

impl Year {
    async fn seed(db: TestDatabase) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let archive = format!("file://{}", folder.path().display());
        let app = TestApp::with(db, &[("PROGRESS_ARCHIVE_URL", &archive)], Clock::system(), Ids::random()).await;
        let variables = [
            ("PROGRESS_DATABASE_URL", app.db.service_url()),
            ("PROGRESS_DATABASE_MIGRATION_URL", app.db.owner_url()),
            ("PROGRESS_ARCHIVE_URL", archive),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
        let statements = settings::optional("TEST_YEAR_STATEMENTS").unwrap_or(STATEMENTS.to_string());
        let mut year = Self { app, variables, tenant: Credential::default(), _folder: folder };
        year.done(&["demo", "seed", "--tenants", "2", "--statements", &statements, "--months", "12", "--apply"]).await;
        let sql = "SELECT tenant_id::text FROM platform.tenants WHERE name = 'demo-1'";
        let row = year.app.db.superuser().await.query_one(sql, &[]).await.unwrap();
        let query = format!("?tenantId={}", row.get::<_, String>(0));
        year.tenant = credential(&year.app, &json!({"scopes": ["all"]}), &query).await;
        year
    }

    /// What a command says, line by line; it has to succeed. The runtime goes on meanwhile: connections to the service that have been idle
    /// for long are closed, and whoever sends the next request has to hear of it.
    async fn done(&self, arguments: &[&str]) -> Vec<Value> {
        let mut command = command(&[arguments, &["--json"]].concat(), &self.variables);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{arguments:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The names of the months with statements, the oldest first.
    async fn months(&self) -> Vec<String> {
        let all = self.done(&["partitions", "list"]).await;
        let names: Vec<String> = all.iter().map(|month| month["name"].as_str().unwrap().to_owned()).collect();
        names[..12].to_vec()
    }

    /// What a query of each kind may ask for, taken from statements here and there in the year.
    async fn questions(&self) -> Vec<Parameters> {
        let sql =
            "SELECT s.id::text, to_char(s.stored AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), s.payload
            FROM ledger.statements s JOIN platform.tenants t USING (tenant_id)
            WHERE t.name = 'demo-1' ORDER BY md5(s.id::text) LIMIT 400";
        let rows = self.app.db.superuser().await.query(sql, &[]).await.unwrap();
        let samples: Vec<(String, String, Value)> = rows
            .iter()
            .map(|row| (row.get(0), row.get(1), serde_json::from_str(row.get::<_, &str>(2)).unwrap()))
            .collect();
        let mut dice = Dice(12);
        (0..QUESTIONS).map(|_| question(&samples, &mut dice)).collect()
    }

    async fn ask(&self, question: &Parameters) -> Vec<Answered> {
        let request = |path: &str| as_credential(&self.app, &self.tenant, Method::GET, path);
        let mut pages = vec![Answered::of(send(request("/xapi/statements").query(question)).await)];
        while let Some(next) = pages.last().and_then(Answered::next).filter(|_| pages.len() < PAGES) {
            pages.push(Answered::of(send(request(&next)).await));
        }
        pages
    }

    async fn ask_all(&self, questions: &[Parameters]) -> Vec<Vec<Answered>> {
        let asking: Vec<_> = questions.iter().map(|question| self.ask(question)).collect();
        stream::iter(asking).buffered(3).collect().await
    }

    /// Every question again: the same bytes. Answers how many statements came out of the archive.
    async fn the_same(&self, what: &str, questions: &[Parameters], before: &[Vec<Answered>]) -> usize {
        let now = self.ask_all(questions).await;
        for ((question, before), now) in questions.iter().zip(before).zip(&now) {
            assert_eq!(before.len(), now.len(), "{what}: {question:?}: as many pages");
            for (before, now) in before.iter().zip(now) {
                assert!(
                    (before.status, &before.body) == (now.status, &now.body),
                    "{what}: {question:?}\n{} {}\n{} {}",
                    before.status,
                    before.text(),
                    now.status,
                    now.text()
                );
            }
        }
        now.iter().flatten().map(|answer| answer.archived).sum()
    }

    /// Lets a month leave by the commands, until only its segments are left.
    async fn send_away(&self, month: &str) {
        self.done(&["partitions", "seal", "--month", month, "--apply"]).await;
        self.done(&["archive", "run", "--month", month, "--apply"]).await;
        self.done(&["archive", "drop", "--month", month, "--apply"]).await;
    }
}

/// A question that some statement answers, mostly.
fn question(samples: &[(String, String, Value)], dice: &mut Dice) -> Parameters {
    let (id, stored, statement) = dice.one_of(samples);
    let mut all = Vec::new();
    if dice.once_in(6) {
        all.push((if dice.once_in(8) { "voidedStatementId" } else { "statementId" }, id.clone()));
        return all;
    }
    if dice.once_in(2) {
        let mut agent = statement["actor"].clone();
        if agent["objectType"] == "Group" {
            agent = agent["member"][0].clone();
        }
        agent.as_object_mut().unwrap().remove("name");
        all.push(("agent", agent.to_string()));
        if dice.once_in(2) {
            all.push(("related_agents", "true".to_owned()));
        }
    }
    if dice.once_in(3) {
        all.push(("verb", statement["verb"]["id"].as_str().unwrap().to_owned()));
    }
    if let Some(activity) = statement["object"]["id"].as_str().filter(|_| dice.once_in(3)) {
        all.push(("activity", activity.to_owned()));
        if dice.once_in(2) {
            all.push(("related_activities", "true".to_owned()));
        }
    }
    if let Some(registration) = statement["context"]["registration"].as_str().filter(|_| dice.once_in(4)) {
        all.push(("registration", registration.to_owned()));
    }
    match dice.below(4) {
        0 => all.push(("since", stored.clone())),
        1 => all.push(("until", stored.clone())),
        _ => {}
    }
    if dice.once_in(2) {
        all.push(("ascending", "true".to_owned()));
    }
    if dice.once_in(5) {
        all.push(("format", (*dice.one_of(&["ids", "canonical", "exact"])).to_owned()));
    }
    if dice.once_in(8) {
        all.push(("attachments", "true".to_owned()));
    }
    all.push(("limit", (*dice.one_of(&["7", "40", "100"])).to_owned()));
    all
}

on_the_newest_server! {
    async fn a_year_goes_to_the_archive_by_command_and_no_query_can_tell(db: TestDatabase) {
        let year = Year::seed(db).await;
        let months = year.months().await;
        let questions = year.questions().await;
        let before = year.ask_all(&questions).await;
        let found: usize = before.iter().flatten().filter(|answer| answer.status == 200 && answer.body.len() > 200).count();
        assert!(found > QUESTIONS / 2, "{found} pages with something on them");
        for month in &months[..9] {
            year.send_away(month).await;
        }
        let archived = year.the_same("nine months are away", &questions, &before).await;
        assert!(archived > QUESTIONS, "{archived}");
        let verified = year.done(&["archive", "verify"]).await;
        assert_eq!(verified.last().unwrap()["outcome"]["problems"], json!([]));
        // One beside the hot ones comes back whole, one between archived ones keeps its table aside.
        for month in [&months[8], &months[3]] {
            year.done(&["archive", "restore", "--month", month, "--apply"]).await;
        }
        year.done(&["partitions", "attach", "--month", &months[8], "--apply"]).await;
        let still = year.the_same("two are back", &questions, &before).await;
        assert!(still > 0 && still < archived, "{still} of {archived}");
    }
}
