//! What `/metrics` says of the process and its doors.

use reqwest::Method;

use crate::support::{
    app::{TestApp, send},
    pg::{Server, TestDatabase},
};

async fn page(app: &TestApp) -> String {
    send(app.anonymous(Method::GET, "/metrics")).await.expect(200).text()
}

/// The value of a series; `None` when it is not there.
fn value(page: &str, series: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

#[tokio::test]
async fn the_page_tells_build_process_pools_phase_and_failed_logins() {
    let app = TestApp::start(TestDatabase::new(Server::newest().await).await).await;
    for (key, secret) in [("test-key", "wrong"), ("nobody", "wrong")] {
        let request = app.anonymous(Method::GET, "/api/v1/verbs").basic_auth(key, Some(secret));
        send(request).await.expect(401);
    }
    send(app.anonymous(Method::GET, "/api/v1/verbs")).await.expect(401);
    app.get("/api/v1/verbs").await.expect(200);
    let page = page(&app).await;
    let at = |series: &str| value(&page, series).unwrap_or_else(|| panic!("no {series} in\n{page}"));
    assert_eq!(at(&format!("progress_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))) as u8, 1);
    assert_eq!(at("progress_phase{phase=\"serving\"}") as u8, 1);
    assert_eq!(at("progress_phase{phase=\"maintenance\"}") as u8, 0);
    assert_eq!(at("progress_auth_refusals_total{reason=\"wrong\"}") as u8, 2);
    assert_eq!(at("progress_auth_refusals_total{reason=\"missing\"}") as u8, 1);
    for pool in ["service", "worker"] {
        let of = |name: &str| at(&format!("progress_store_pool_{name}{{pool=\"{pool}\"}}"));
        assert!(of("connections") >= 1.0 && of("connections") <= of("limit"), "{pool}: {page}");
        assert!(of("in_use") <= of("connections") && of("waiting") >= 0.0, "{pool}: {page}");
    }
    if cfg!(target_os = "linux") {
        assert!(at("process_cpu_seconds_total") > 0.0 && at("process_resident_memory_bytes") > 1e6, "{page}");
        assert!(at("process_open_fds") > 2.0 && at("process_open_fds") < at("process_max_fds"), "{page}");
        assert!(at("process_start_time_seconds") > 1.7e9 && at("process_threads") >= 2.0, "{page}");
    }
}

#[tokio::test]
async fn callers_that_wait_for_a_connection_are_seen() {
    let db = TestDatabase::new(Server::newest().await).await;
    let app = TestApp::with(
        db,
        &[("PROGRESS_DATABASE_POOL_SIZE", "1")],
        progress_service::model::Clock::system(),
        progress_service::model::Ids::random(),
    )
    .await;
    // Whoever holds the table keeps the one connection waiting, and everybody behind it.
    let holder = app.db.superuser().await;
    holder.batch_execute("BEGIN; LOCK TABLE progress.verbs IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let asked = || send(app.request(Method::GET, "/api/v1/verbs"));
    let watch = async {
        let seen = crate::support::patience::until("a caller that waits", async || {
            let page = page(&app).await;
            let of = |name: &str| value(&page, &format!("progress_store_pool_{name}{{pool=\"service\"}}"));
            if of("in_use") == Some(1.0) && of("waiting") >= Some(1.0) { Ok(()) } else { Err(page) }
        });
        seen.await;
        holder.batch_execute("ROLLBACK").await.unwrap();
    };
    let (one, two, ()) = tokio::join!(asked(), asked(), watch);
    assert_eq!((one.expect(200).status, two.expect(200).status), (200.try_into().unwrap(), 200.try_into().unwrap()));
}
