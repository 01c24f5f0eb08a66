//! Metrics as the real collector gets them: all of them, turn by turn and at the end, with examples that lead to traces; and a collector
//! that does not want them, of which no request hears.

use progress_service::model::{Clock, Ids};
use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    support::{
        app::{TestApp, send},
        collector::Collector,
        patience,
        pg::TestDatabase,
    },
    xapi::{id, identified},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

async fn pushing(db: TestDatabase, endpoint: &str, every: &str) -> TestApp {
    let variables = [("PROGRESS_TELEMETRY_OTLP_ENDPOINT", endpoint), ("PROGRESS_TELEMETRY_OTLP_METRICS_EVERY", every)];
    TestApp::with(db, &variables, Clock::system(), Ids::random()).await
}

/// What the collector says of one metric the last time that it had it.
fn last(text: &str, name: &str) -> Option<String> {
    let told = text.rsplit("Metric #").find(|told| told.contains(&format!("-> Name: {name}\n")))?;
    Some(told.to_owned())
}

/// How often all metrics went out, by outcome.
async fn outcomes(app: &TestApp, outcome: &str) -> u64 {
    let page = send(app.anonymous(Method::GET, "/metrics")).await.text();
    let name = format!("progress_otlp_pushes_total{{outcome=\"{outcome}\"}} ");
    page.lines().find_map(|line| line.strip_prefix(name.as_str())).map_or(0, |count| count.parse().unwrap())
}

/// A server that answers everything with these words.
async fn answering(words: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut room = vec![0; 1 << 20];
                let _asked = connection.read(&mut room).await;
                let _answered = connection.write_all(words.as_bytes()).await;
            });
        }
    });
    endpoint
}

on_the_newest_server! {
    async fn all_metrics_reach_the_collector_with_examples_that_lead_to_their_traces(db: TestDatabase) {
        let collector = Collector::start().await;
        let app = pushing(db, &collector.endpoint, "200ms").await;
        let request = app.xapi(Method::POST, "/statements").header("traceparent", format!("00-{TRACE}-{CALLER}-01"));
        send(request.json(&json!([identified(&id(1), "ann", "a"), identified(&id(2), "bob", "a")]))).await.expect(200);
        let of = collector.spans_of(TRACE, 2).await.into_iter().find(|span| span.parent == CALLER).unwrap();
        patience::until("the request as an example", async || {
            let seconds = last(&collector.text(), "progress_http_request_seconds").unwrap_or_default();
            let leads = seconds.contains(&format!("Trace ID: {TRACE}")) && seconds.contains(&format!("Span ID: {}", of.id));
            if leads { Ok(()) } else { Err(seconds) }
        }).await;
        patience::until("the statements", async || {
            let told = last(&collector.text(), "progress_ingest_statements_total").unwrap_or_default();
            if told.contains("outcome: Str(new)") && told.contains("Value: 2.000000") { Ok(()) } else { Err(told) }
        }).await;
        let text = collector.text();
        let told = last(&text, "progress_ingest_statements_total").unwrap();
        assert!(told.contains("DataType: Sum") && told.contains("IsMonotonic: true") && told.contains("Cumulative"), "{told}");
        assert!(last(&text, "progress_http_in_flight").unwrap().contains("DataType: Gauge"));
        // Every metric that has a value is there.
        let page = send(app.anonymous(Method::GET, "/metrics")).await.text();
        for name in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
            assert!(text.contains(&format!("-> Name: {name}\n")), "{name}");
        }
        assert!(text.contains("service.name: Str(progress-service)"), "{text}");
        assert!(!text.contains("example.com") && outcomes(&app, "sent").await > 0);
    }

    async fn what_happened_since_the_last_turn_goes_out_at_the_end(db: TestDatabase) {
        let collector = Collector::start().await;
        let app = pushing(db, &collector.endpoint, "1h").await;
        patience::until("the first turn", async || {
            if outcomes(&app, "sent").await == 1 { Ok(()) } else { Err("not yet") }
        }).await;
        app.post_statements(&identified(&id(1), "ann", "a")).await.expect(200);
        drop(app);
        patience::until("the last turn", async || {
            let told = last(&collector.text(), "progress_ingest_statements_total").unwrap_or_default();
            if told.contains("Value: 1.000000") { Ok(()) } else { Err(told) }
        }).await;
    }

    async fn a_collector_that_does_not_want_them_or_is_away_is_counted_and_nothing_else(db: TestDatabase) {
        let refusing = answering("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        let app = pushing(db, &refusing, "100ms").await;
        patience::until("two pushes", async || {
            if outcomes(&app, "refused").await >= 2 { Ok(()) } else { Err("not yet") }
        }).await;
        app.post_statements(&identified(&id(1), "ann", "a")).await.expect(200);
        assert_eq!((outcomes(&app, "sent").await, outcomes(&app, "unreachable").await), (0, 0));
    }

    async fn a_collector_that_is_away_is_asked_again(db: TestDatabase) {
        let port = crate::support::pgproc::free_port();
        let app = pushing(db, &format!("http://127.0.0.1:{port}"), "100ms").await;
        patience::until("two pushes", async || {
            if outcomes(&app, "unreachable").await >= 2 { Ok(()) } else { Err("not yet") }
        }).await;
        let _collector = Collector::start_at(port).await;
        patience::until("one that arrives", async || {
            if outcomes(&app, "sent").await >= 1 { Ok(()) } else { Err("not yet") }
        }).await;
    }

    async fn never_is_never(db: TestDatabase) {
        let app = pushing(db, "http://127.0.0.1:1", "0s").await;
        app.post_statements(&identified(&id(1), "ann", "a")).await.expect(200);
        assert_eq!((outcomes(&app, "sent").await, outcomes(&app, "unreachable").await), (0, 0));
    }
}
