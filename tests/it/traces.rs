//! One trace from the request to the ledger, to Kafka and to the projections, as the real collector sees it; and a collector that
//! is away, slow or full, of which no request hears.

use std::time::{Duration, Instant};

use progress_service::{
    model::{Clock, Ids},
    relay::STATEMENT_STORED,
    telemetry::{self, Metrics, TraceContext, Traces, spans::Kind},
};
use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    projections::{platform, statement},
    support::{
        app::{Answer, TestApp, send},
        collector::{Collector, Span},
        http,
        kafka::{Topic, brokers, unique},
        patience,
        pg::TestDatabase,
        pgproc::free_port,
    },
    xapi::{id, identified},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const STARTED: &str = "progress.attempt.started.v1";

async fn traced(db: TestDatabase, endpoint: &str, more: &[(&str, &str)]) -> TestApp {
    let mut variables = vec![("PROGRESS_TELEMETRY_OTLP_ENDPOINT", endpoint)];
    variables.extend(more);
    TestApp::with(db, &variables, Clock::system(), Ids::random()).await
}

async fn post(app: &TestApp, traceparent: &str, statements: &Value) -> Answer {
    send(app.xapi(Method::POST, "/statements").header("traceparent", traceparent).json(statements)).await
}

fn named<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    let found: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name}: {spans:#?}");
    found[0]
}

/// A metric's value, by its name and labels.
async fn metric(app: &TestApp, name: &str) -> u64 {
    let page = send(app.anonymous(Method::GET, "/metrics")).await.text();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
    line.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
}

on_the_newest_server! {
    async fn one_trace_leads_from_the_request_to_the_ledger_to_kafka_and_to_the_projections(db: TestDatabase) {
        let (collector, prefix) = (Collector::start().await, unique("traces"));
        let stored = Topic::named(format!("{prefix}{STATEMENT_STORED}"), 1).await;
        let started = Topic::named(format!("{prefix}{STARTED}"), 1).await;
        let brokers = brokers();
        let kafka = [("PROGRESS_KAFKA_BROKERS", brokers.as_str()), ("PROGRESS_KAFKA_TOPIC_PREFIX", prefix.as_str())];
        let app = traced(db, &collector.endpoint, &kafka).await;
        let statements = json!([statement(1, "initialized", &platform("a1", 1)), statement(2, "experienced", &json!({}))]);
        post(&app, &format!("00-{TRACE}-{CALLER}-01"), &statements).await.expect(200);

        let spans = collector.spans_of(TRACE, 5).await;
        assert_eq!(spans.len(), 5, "{spans:#?}");
        let request = named(&spans, "POST /xapi/statements");
        assert_eq!((request.parent.as_str(), request.kind.as_str()), (CALLER, "Server"));
        assert_eq!(request.attributes["http.request.method"], "Str(POST)");
        assert_eq!(request.attributes["http.route"], "Str(/xapi/statements)");
        assert_eq!(request.attributes["http.response.status_code"], "Int(200)");
        let ledger = named(&spans, "write to the ledger");
        assert_eq!((&ledger.parent, ledger.kind.as_str(), ledger.status.as_str()), (&request.id, "Internal", "Unset"));
        assert_eq!(ledger.attributes["progress.statements"], "Int(2)");
        for (topic, count) in [(&stored, "Int(2)"), (&started, "Int(1)")] {
            let publish = named(&spans, &format!("send {}", topic.name));
            assert_eq!((&publish.parent, publish.kind.as_str()), (&ledger.id, "Producer"));
            assert_eq!(publish.attributes["messaging.system"], "Str(kafka)");
            assert_eq!(publish.attributes["messaging.destination.name"], format!("Str({})", topic.name));
            assert_eq!(publish.attributes["messaging.batch.message_count"], count);
            for message in topic.read_all().await {
                assert_eq!(message.json()["traceparent"], format!("00-{TRACE}-{}-01", publish.id), "readers go on from there");
            }
        }
        let project = named(&spans, "project");
        assert_eq!((&project.parent, project.kind.as_str()), (&ledger.id, "Consumer"));
        assert_eq!(project.attributes["progress.statements"], "Int(2)");

        let said = collector.text();
        for personal in ["h.example", "00000000-0000-4000-8000-0000000000aa", "x.example", "(a1)"] {
            assert!(!said.contains(personal), "{personal}: {said}");
        }
    }

    async fn the_caller_decides_and_else_the_ratio(db: TestDatabase) {
        let collector = Collector::start().await;
        let app = traced(db, &collector.endpoint, &[("PROGRESS_TELEMETRY_SAMPLE_RATIO", "0")]).await;
        let trace = |n: u8| format!("{n:032x}");
        post(&app, &format!("00-{}-{CALLER}-00", trace(1)), &json!([identified(&id(1), "ann", "a")])).await.expect(200);
        app.post_statements(&json!([identified(&id(2), "ann", "a")])).await.expect(200);
        send(app.anonymous(Method::GET, "/healthz").header("traceparent", format!("00-{}-{CALLER}-01", trace(3)))).await.expect(200);
        // What is refused is told of as well.
        post(&app, &format!("00-{}-{CALLER}-01", trace(4)), &json!([{}])).await.expect(400);
        let refused = collector.spans_of(&trace(4), 1).await;
        assert_eq!((refused.len(), refused[0].status.as_str()), (1, "Unset"), "the caller's mistake is not ours");
        assert_eq!(refused[0].attributes["http.response.status_code"], "Int(400)");
        let traces: Vec<String> = collector.spans().into_iter().map(|span| span.trace).collect();
        assert_eq!(traces, [trace(4)], "and of nothing else");
        let kept = app.db.superuser().await.query_one("SELECT count(*) FROM ledger.traces", &[]).await.unwrap();
        assert_eq!(kept.get::<_, i64>(0), 0);
        assert_eq!(metric(&app, "progress_otlp_spans_sent_total").await, 1);
    }

    async fn an_example_beside_a_bucket_of_the_metrics_leads_to_the_trace(db: TestDatabase) {
        let app = traced(db, "http://127.0.0.1:1", &[]).await;
        post(&app, &format!("00-{TRACE}-{CALLER}-01"), &json!([identified(&id(1), "ann", "a")])).await.expect(200);
        let page = async |accept: &str| send(app.anonymous(Method::GET, "/metrics").header("Accept", accept)).await.expect(200);
        let open = page("application/openmetrics-text; version=1.0.0, text/plain;q=0.5").await;
        assert_eq!(open.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
        let text = open.text();
        let examples: Vec<&str> = text.lines().filter(|line| line.contains(&format!("# {{trace_id=\"{TRACE}\""))).collect();
        assert_eq!(examples.len(), 1, "{text}");
        assert!(examples[0].starts_with("progress_http_request_seconds_bucket{method=\"POST\",route=\"/xapi/statements\",le="), "{examples:?}");
        assert!(text.ends_with("# EOF\n"));
        for accept in ["text/plain", "*/*"] {
            let plain = page(accept).await;
            assert_eq!(plain.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
            assert!(plain.header("vary").contains("Accept,"), "{}", plain.header("vary"));
            assert!(!plain.text().contains("trace_id"));
        }
    }

    async fn without_a_collector_nothing_is_traced_or_kept(db: TestDatabase) {
        let app = TestApp::start(db).await;
        post(&app, &format!("00-{TRACE}-{CALLER}-01"), &json!([identified(&id(1), "ann", "a")])).await.expect(200);
        let kept = app.db.superuser().await.query_one("SELECT count(*) FROM ledger.traces", &[]).await.unwrap();
        assert_eq!(kept.get::<_, i64>(0), 0);
    }

    async fn a_collector_that_is_away_is_no_concern_of_a_request_and_what_it_missed_is_counted(db: TestDatabase) {
        let app = traced(db, "http://127.0.0.1:1", &[]).await;
        for n in 0..20 {
            post(&app, &format!("00-{TRACE}-{CALLER}-01"), &json!([identified(&id(n), "ann", "a")])).await.expect(200);
        }
        patience::until("the losses", async || {
            match metric(&app, r#"progress_otlp_spans_dropped_total{reason="unreachable"}"#).await {
                0..40 => Err("not all are counted"),
                _ => Ok(()),
            }
        })
        .await;
        assert_eq!(metric(&app, "progress_otlp_spans_sent_total").await, 0);
    }

    async fn a_collector_that_comes_later_is_told_from_then_on(db: TestDatabase) {
        let port = free_port();
        let app = traced(db, &format!("http://127.0.0.1:{port}"), &[]).await;
        post(&app, &format!("00-{}-{CALLER}-01", TRACE.replace('4', "5")), &json!([identified(&id(1), "ann", "a")])).await.expect(200);
        let lost = r#"progress_otlp_spans_dropped_total{reason="unreachable"}"#;
        patience::until("the first losses", async || if metric(&app, lost).await > 0 { Ok(()) } else { Err("none") }).await;
        let collector = Collector::start_at(port).await;
        post(&app, &format!("00-{TRACE}-{CALLER}-01"), &json!([identified(&id(2), "ann", "a")])).await.expect(200);
        collector.spans_of(TRACE, 3).await;
    }

    async fn a_collector_that_refuses_has_the_login_and_is_asked_once(db: TestDatabase) {
        let strict = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/otlp/", strict.local_addr().unwrap());
        let app = traced(db, &endpoint, &[
            ("PROGRESS_TELEMETRY_OTLP_HEADERS", "Authorization=Bearer hunter2"), ("PROGRESS_TELEMETRY_OTLP_METRICS_EVERY", "0s")]).await;
        post(&app, &format!("00-{TRACE}-{CALLER}-01"), &json!([{}])).await.expect(400);
        let (mut connection, _) = strict.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            assert!(connection.read_buf(&mut head).await.unwrap() > 0);
        }
        let head = String::from_utf8_lossy(&head).to_lowercase();
        assert!(head.starts_with("post /otlp/v1/traces http/1.1"), "{head}");
        assert!(head.contains("authorization: bearer hunter2") && head.contains("content-type: application/x-protobuf"), "{head}");
        connection.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
        let refused = r#"progress_otlp_spans_dropped_total{reason="refused"}"#;
        patience::until("the refusal", async || if metric(&app, refused).await == 1 { Ok(()) } else { Err("not counted") }).await;
    }

    async fn a_collector_that_never_answers_keeps_neither_a_request_nor_the_end(db: TestDatabase) {
        let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", deaf.local_addr().unwrap());
        let app = traced(db, &endpoint, &[]).await;
        for n in 0..20 {
            post(&app, &format!("00-{TRACE}-{CALLER}-01"), &json!([identified(&id(n), "ann", "a")])).await.expect(200);
        }
        let (mut connection, _) = deaf.accept().await.unwrap();
        assert!(connection.read(&mut [0; 64]).await.unwrap() > 0, "it is being told");
        let begun = Instant::now();
        drop(app);
        // Five seconds for what is left, and what a stop takes otherwise.
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    }

    async fn which_trace_a_statement_belongs_to_is_forgotten(db: TestDatabase) {
        let app = traced(db, "http://127.0.0.1:1", &[]).await;
        post(&app, &format!("00-{TRACE}-{CALLER}-01"), &json!([identified(&id(1), "ann", "a")])).await.expect(200);
        let (store, client) = (app.service().rooms.store.clone(), app.db.superuser().await);
        let of = client.query_one("SELECT tenant_id, id FROM ledger.statements", &[]).await.unwrap();
        let known = [(progress_service::model::TenantId(of.get(0)), of.get(1))];
        let now = Clock::system().now();
        let asking = async move {
            let found = store.traces_of(&known).await.unwrap();
            assert_eq!(found[&known[0]].trace_id(), TRACE);
            assert_eq!(store.traces_prune(now - Duration::from_secs(3_600), 10).await.unwrap(), 0);
            assert_eq!(store.traces_prune(now + Duration::from_secs(60), 10).await.unwrap(), 1);
            assert!(store.traces_of(&known).await.unwrap().is_empty());
        };
        crate::support::background::runtime().spawn(asking).await.unwrap();
    }
}

#[tokio::test]
async fn what_the_queue_has_no_room_for_is_counted_and_waited_for_by_nobody() {
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", deaf.local_addr().unwrap()).parse().unwrap();
    let (metrics, clock, ids) = (Metrics::new().unwrap(), Clock::system(), Ids::random());
    let node = "n".to_owned();
    let collector = telemetry::Collector { client: http::client(), endpoint, headers: HeaderMap::new(), node };
    let traces = Traces::start(collector, 1.0, (&clock, &ids), &metrics);
    let parent = TraceContext::parse(&format!("00-{TRACE}-{CALLER}-01")).unwrap();
    let begun = Instant::now();
    for _ in 0..20_000 {
        traces.below(parent, Kind::Internal, "work").finish(false);
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let lost = metrics.otlp.all_dropped();
    assert!((10_000..20_000).contains(&lost), "{lost}");
    let begun = Instant::now();
    traces.finish(Duration::from_secs(1)).await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    traces.below(parent, Kind::Internal, "too late").finish(false);
    assert!(metrics.otlp.all_dropped() > lost, "what comes after the end is counted");
}

#[tokio::test]
async fn what_waits_at_the_end_goes_out() {
    let collector = Collector::start().await;
    let endpoint = collector.endpoint.parse().unwrap();
    let (metrics, clock, ids) = (Metrics::new().unwrap(), Clock::system(), Ids::random());
    let node = "n".to_owned();
    let to = telemetry::Collector { client: http::client(), endpoint, headers: HeaderMap::new(), node };
    let traces = Traces::start(to, 1.0, (&clock, &ids), &metrics);
    let parent = TraceContext::parse(&format!("00-{TRACE}-{CALLER}-01")).unwrap();
    drop(traces.below(parent, Kind::Internal, "cut"));
    traces.below(parent, Kind::Internal, "work").finish(false);
    traces.finish(Duration::from_secs(5)).await;
    assert_eq!(metrics.otlp.sent.get(), 2);
    let spans = collector.spans_of(TRACE, 2).await;
    assert_eq!((named(&spans, "cut").status.as_str(), named(&spans, "work").status.as_str()), ("Error", "Unset"));
}
