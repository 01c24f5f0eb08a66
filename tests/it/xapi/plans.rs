//! How the database answers a page: every filter walks an index in the order of the page and stops when it is full.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use progress_service::{
    model::TenantId,
    store::{
        As, Store, StoreError,
        door::pool::PLANNER,
        ledger::{
            pages::{self, Filter, Query, Sight, Span},
            statements::{self, NewStatement, authority_form},
        },
    },
    xapi::{Author, Limits, Prepared, Version, keys, keys::Ifi, prepare, read},
};
use serde_json::{Value, json};
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use crate::support::pg::TestDatabase;

const TENANT: TenantId = TenantId::DEFAULT;
const STATEMENTS: u128 = 20_000;
/// Different ones; the rest are the same again under other ids.
const DISTINCT: u128 = 400;
const LIMIT: i64 = 51;
/// Branches of a page times its limit, and some for the lookups of a nested loop.
const MOST_ROWS: f64 = 6.0 * LIMIT as f64;
/// Of tables and indexes, for such a page.
const MOST_PAGES: i64 = 40 * LIMIT;

fn iri(kind: &str, n: u128) -> String {
    format!("http://example.com/{kind}/{n}")
}

fn account(n: u128) -> Ifi {
    Ifi::Account { home_page: "http://example.com".to_owned(), name: format!("learner-{n}") }
}

/// Learner 0 is in every second statement, as a busy account is; one in ten has an instructor.
fn body(n: u128) -> Value {
    let learner = if n.is_multiple_of(2) { 0 } else { n % 50 };
    let agent = |n: u128| {
        json!({"objectType": "Agent", "account": {"homePage": "http://example.com",
        "name": format!("learner-{n}")}})
    };
    let mut context = json!({"registration": Uuid::from_u128(0x4000_8000_0000_0000_0000 + n % 100),
        "contextActivities": {"parent": [{"id": iri("course", n % 5)}], "grouping": [{"id": iri("program", 1)}]}});
    if n.is_multiple_of(10) {
        context["instructor"] = agent(1_000 + n % 3);
    }
    json!({"actor": agent(learner), "verb": {"id": iri("verb", n % 4)}, "context": context,
        "object": {"objectType": "Activity", "id": iri("lesson", n % 40)}, "timestamp": "2026-01-02T03:04:05Z"})
}

fn authority() -> Ifi {
    Ifi::Mbox("mailto:lrs@example.com".to_owned())
}

fn prepared() -> Vec<Prepared> {
    let author = Author::new(TENANT.0, &authority().to_map(), Version::V1_0_3);
    let body = Value::from_iter((0..DISTINCT).map(body)).to_string();
    let batch = read::statements(body.as_bytes(), Version::V1_0_3, &Limits::default()).expect("valid statements");
    let distinct: Vec<Prepared> =
        batch.statements.into_iter().map(|s| prepare(s, &author, Uuid::nil, DateTime::UNIX_EPOCH)).collect();
    (0..STATEMENTS)
        .map(|n| {
            let mut statement = distinct[usize::try_from(n % DISTINCT).unwrap()].clone();
            statement.id = Uuid::from_u128(n + 1);
            statement
        })
        .collect()
}

/// Writes as the service does, through its own door.
async fn fill(db: &TestDatabase) {
    let (store, prepared) = (db.store(), prepared());
    store.ensure_partition(clock(db).await).await.expect("a month to write to");
    for group in prepared.chunks(1_000) {
        store
            .run_tx("fill", As::Tenant(TENANT), |tx| {
                Box::pin(async move {
                    let ids: Vec<statements::Id> = group.iter().map(statements::id_of).collect();
                    let first = statements::moment(statements::beforehand(tx, &ids).await?.first_micros)?;
                    let entry = |(offset, statement)| NewStatement {
                        statement,
                        stored: first + TimeDelta::microseconds(offset),
                    };
                    let entries: Vec<NewStatement<'_>> = (0..).zip(group).map(entry).collect();
                    statements::append(tx, &entries).await
                })
            })
            .await
            .expect("a group written");
    }
    db.superuser().await.batch_execute("ANALYZE").await.expect("statistics");
}

async fn clock(db: &TestDatabase) -> DateTime<Utc> {
    db.superuser().await.query_one("SELECT clock_timestamp()", &[]).await.expect("the time").get(0)
}

/// Every filter by name, with keys that stand in many rows.
fn filters() -> Vec<(&'static str, Filter)> {
    let tenant = TENANT.0;
    let agent = |n| Some(keys::agent(tenant, &account(n)));
    let activity = |kind, n| Some(keys::activity(tenant, &iri(kind, n)));
    let verb = Some(keys::verb(tenant, &iri("verb", 2)));
    let registration = Some(keys::registration(tenant, Uuid::from_u128(0x4000_8000_0000_0000_0000 + 6)));
    let mine = Sight::Authority(authority_form(keys::agent(tenant, &self::authority())));
    let of_person = |n| Sight::Actors(vec![keys::agent(tenant, &account(n)), keys::agent(tenant, &account(999_999))]);
    vec![
        ("none", Filter::default()),
        ("busy agent", Filter { agent: agent(0), ..Filter::default() }),
        ("agent", Filter { agent: agent(7), ..Filter::default() }),
        ("unknown agent", Filter { agent: agent(999_999), ..Filter::default() }),
        ("verb", Filter { verb, ..Filter::default() }),
        ("activity", Filter { activity: activity("lesson", 6), ..Filter::default() }),
        ("registration", Filter { registration, ..Filter::default() }),
        ("mine", Filter { sight: mine, ..Filter::default() }),
        ("of a person", Filter { sight: of_person(0), ..Filter::default() }),
        ("of a person, by verb", Filter { sight: of_person(0), verb, ..Filter::default() }),
        ("related agent", Filter { agent: agent(1_000), related_agents: true, ..Filter::default() }),
        ("related activity", Filter { activity: activity("course", 1), related_activities: true, ..Filter::default() }),
        ("related to all", Filter { activity: activity("program", 1), related_activities: true, ..Filter::default() }),
    ]
}

/// First page, the one after it, and forward from a moment in the middle.
async fn spans(client: &Client) -> Vec<(&'static str, Span)> {
    // With as many rows before it as after it; the middle of the time is another one when filling was held up.
    let ends = "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY stored), max(stored) FROM ledger.statements";
    let row = client.query_one(ends, &[]).await.unwrap();
    let (middle, last): (DateTime<Utc>, DateTime<Utc>) = (row.get(0), row.get(1));
    let newest = Span { ascending: false, since: None, until: None, limit: LIMIT, bytes: 8 << 20 };
    vec![
        ("first page", newest),
        ("deep page", Span { until: Some(middle), ..newest }),
        ("forward", Span { ascending: true, since: Some(middle), until: Some(last), ..newest }),
    ]
}

/// All nodes of a plan, children with their parent.
fn nodes(plan: &Value) -> Vec<(&Value, Option<&Value>)> {
    let mut waiting = vec![(plan, None)];
    let mut all = Vec::new();
    while let Some((node, parent)) = waiting.pop() {
        all.push((node, parent));
        let children = node["Plans"].as_array().into_iter().flatten();
        waiting.extend(children.map(|child| (child, Some(node))));
    }
    all
}

/// What is wrong with the plan: a table read from end to end, or more rows handled than a page needs.
fn faults(plan: &Value) -> Vec<String> {
    let large = |name: &str| ["statements", "relations"].iter().any(|table| name.starts_with(table));
    let mut faults = Vec::new();
    for (node, parent) in nodes(plan) {
        let kind = node["Node Type"].as_str().unwrap_or_default();
        let table = node["Relation Name"].as_str().unwrap_or_default();
        let rows = node["Actual Rows"].as_f64().unwrap_or_default() * node["Actual Loops"].as_f64().unwrap_or(1.0);
        let removed = node["Rows Removed by Filter"].as_f64().unwrap_or_default();
        if kind == "Seq Scan" && large(table) {
            faults.push(format!("reads all of {table}"));
        }
        if kind == "Memoize" {
            faults.push("makes room to remember what is looked up once".to_owned());
        }
        if rows + removed > MOST_ROWS {
            let parent = parent.and_then(|parent| parent["Node Type"].as_str()).unwrap_or("the page");
            faults.push(format!("{kind} {table} gives {rows} rows and throws {removed} away for {parent}"));
        }
    }
    faults
}

async fn explained(client: &Client, sql: &str, params: &[progress_service::store::door::tx::Param<'_>]) -> Value {
    let sql = format!("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}");
    let row = client.query_one(&sql, params).await.expect("a plan");
    let answer: Value = row.get(0);
    answer[0]["Plan"].clone()
}

/// A session such as the service has.
async fn session(db: &TestDatabase) -> Client {
    let client = db.service().await;
    let setup =
        format!("SET ROLE progress_service; SET app.tenant_id = '{TENANT}'; SET search_path = pg_catalog; {PLANNER}");
    client.batch_execute(&setup).await.unwrap();
    client
}

const PAGES_READ: &str = "SELECT coalesce(sum(pg_stat_get_xact_blocks_fetched(c.oid)), 0)::bigint FROM pg_class c
    WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind IN ('r', 'i')";

/// Pages of tables and indexes that this session has read, by a count that begins again now and then, but not within a
/// transaction.
async fn pages_read(client: &Client) -> i64 {
    client.query_one(PAGES_READ, &[]).await.unwrap().get(0)
}

/// A query whose plan a session has made its mind up about.
struct Kept {
    query: Query,
    statement: Statement,
}

impl Kept {
    async fn new(client: &Client, query: Query) -> Self {
        let statement = client.prepare(&query.sql).await.unwrap();
        // The plans of the first five times are never kept.
        for _ in 0..6 {
            client.query(&statement, &query.params()).await.unwrap();
        }
        Self { query, statement }
    }

    /// What is wrong with the plan that was kept.
    async fn faults(&self, client: &Client) -> Vec<String> {
        let mut faults = Vec::new();
        client.batch_execute("BEGIN").await.unwrap();
        let before = pages_read(client).await;
        let found = client.query(&self.statement, &self.query.params()).await.unwrap();
        let read = pages_read(client).await - before;
        client.batch_execute("ROLLBACK").await.unwrap();
        if read > MOST_PAGES {
            faults.push(format!("reads {read} pages"));
        }
        let kept = "SELECT max(generic_plans) FROM pg_prepared_statements WHERE statement = $1";
        let kept: i64 = client.query_one(kept, &[&self.query.sql]).await.unwrap().get(0);
        // For a key that is nowhere a plan of its own is cheaper, and may be.
        if kept == 0 && !found.is_empty() {
            faults.push("is planned anew each time".to_owned());
        }
        faults
    }
}

/// The month after the one that is filled.
async fn next_month(db: &TestDatabase) -> DateTime<Utc> {
    let sql = "SELECT date_trunc('month', max(stored)) + interval '1 month' FROM ledger.statements";
    db.superuser().await.query_one(sql, &[]).await.unwrap().get(0)
}

/// Fills this month and makes the next one, known to be empty: by whoever analyses all tables each night.
async fn fill_before_an_empty_month(db: &TestDatabase) {
    fill(db).await;
    db.store().ensure_partition(next_month(db).await).await.unwrap();
    db.superuser().await.batch_execute("VACUUM ANALYZE").await.unwrap();
}

/// Everything once more, in the next month.
async fn fill_next_month(db: &TestDatabase) {
    db.superuser()
        .await
        .batch_execute(
            "INSERT INTO ledger.statements (tenant_id, id, stored, occurred, verb_key, agent_key, activity_key,
                                            registration_key, refers_to, voiding, converts, payload)
             SELECT tenant_id, id, stored + interval '1 month', occurred, verb_key, agent_key, activity_key,
                    registration_key, refers_to, voiding, converts, payload FROM ledger.statements;
             INSERT INTO ledger.relations (tenant_id, key, stored)
             SELECT tenant_id, key, stored + interval '1 month' FROM ledger.relations",
        )
        .await
        .unwrap();
}

/// Reads the first page through the service's own door; answers how many pages of tables and indexes that took.
async fn newest_page(store: &Store) -> i64 {
    store
        .run_tx("page", As::Tenant(TENANT), |tx| {
            Box::pin(async move {
                let newest = Span { ascending: false, since: None, until: None, limit: LIMIT, bytes: 8 << 20 };
                let query = Query::new(TENANT, &Filter::default(), &newest);
                let before: i64 = tx.query_one(PAGES_READ, &[]).await?.get(0);
                tx.query(&query.sql, &query.params()).await?;
                let after: i64 = tx.query_one(PAGES_READ, &[]).await?.get(0);
                Ok::<_, StoreError>(after - before)
            })
        })
        .await
        .unwrap()
}

/// A session with its plans for the first pages of all filters.
async fn kept_plans(db: &TestDatabase) -> (Client, Vec<(&'static str, Kept)>) {
    let client = session(db).await;
    let newest = Span { ascending: false, since: None, until: None, limit: LIMIT, bytes: 8 << 20 };
    let mut all = Vec::new();
    for (name, filter) in filters() {
        all.push((name, Kept::new(&client, Query::new(TENANT, &filter, &newest)).await));
    }
    (client, all)
}

async fn all_faults(client: &Client, all: &[(&'static str, Kept)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, kept) in all {
        wrong.extend(kept.faults(client).await.into_iter().map(|fault| format!("{name}: {fault}")));
    }
    wrong
}

on_each_server! {
    async fn every_filter_walks_an_index_and_stops_when_the_page_is_full(db: TestDatabase) {
        fill(&db).await;
        let client = session(&db).await;
        let mut wrong = Vec::new();
        for (place, span) in spans(&client).await {
            for (name, filter) in filters() {
                let query = Query::new(TENANT, &filter, &span);
                let plan = explained(&client, &query.sql, &query.params()).await;
                let found = plan["Actual Rows"].as_f64().unwrap();
                let wanted = if name == "unknown agent" { 0.0 } else { LIMIT as f64 };
                if (found - wanted).abs() > 0.1 {
                    wrong.push(format!("{name}, {place}: {found} statements, not {wanted}"));
                }
                wrong.extend(faults(&plan).into_iter().map(|fault| format!("{name}, {place}: {fault}")));
            }
        }
        let by_id = explained(&client, &pages::by_id_sql(&Sight::Everything), &[&TENANT.0, &Uuid::from_u128(77)]).await;
        wrong.extend(faults(&by_id).into_iter().map(|fault| format!("by id: {fault}")));
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    async fn a_session_keeps_one_plan_for_all_pages_of_a_filter_and_it_is_a_good_one(db: TestDatabase) {
        fill(&db).await;
        let client = session(&db).await;
        let mut wrong = Vec::new();
        for (place, span) in spans(&client).await {
            for (name, filter) in filters() {
                let kept = Kept::new(&client, Query::new(TENANT, &filter, &span)).await;
                wrong.extend(kept.faults(&client).await.into_iter().map(|fault| format!("{name}, {place}: {fault}")));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    async fn plans_made_before_a_month_began_are_good_for_it(db: TestDatabase) {
        fill(&db).await;
        db.store().ensure_partition(next_month(&db).await).await.unwrap();
        let (client, all) = kept_plans(&db).await;
        fill_next_month(&db).await;
        let wrong = all_faults(&client, &all).await;
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    async fn plans_for_a_month_that_was_known_to_be_empty_are_made_anew(db: TestDatabase) {
        fill_before_an_empty_month(&db).await;
        let (client, all) = kept_plans(&db).await;
        fill_next_month(&db).await;
        assert!(!all_faults(&client, &all).await.is_empty(), "then sessions need not forget their plans");
        client.batch_execute("DISCARD PLANS").await.unwrap();
        let wrong = all_faults(&client, &all).await;
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    async fn sessions_of_the_service_forget_their_plans_in_time(db: TestDatabase) {
        fill_before_an_empty_month(&db).await;
        let store = |plans_kept| {
            let mut settings = db.store_settings();
            (settings.pool.connections, settings.pool.plans_kept) = (1, plans_kept);
            Store::open(&settings).unwrap()
        };
        let (forgetful, stubborn) = (store(Duration::ZERO), store(Duration::from_secs(3600)));
        for _ in 0..6 {
            newest_page(&forgetful).await;
            newest_page(&stubborn).await;
        }
        fill_next_month(&db).await;
        assert!(newest_page(&stubborn).await > MOST_PAGES, "nothing to forget");
        assert!(newest_page(&forgetful).await <= MOST_PAGES);
        // A session that cannot even be told to forget is replaced.
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND application_name = 'progress_service'";
        db.superuser().await.query(end, &[]).await.unwrap();
        assert!(newest_page(&forgetful).await <= MOST_PAGES);
        forgetful.close();
        stubborn.close();
    }
}
