//! What it costs that people look: how long pages take, and what those cost who follow a job that goes on.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Browser, ground::Ground};
use crate::support::http;

/// How long one page took, again and again.
pub struct Taken(Vec<(String, Duration)>);

impl Taken {
    pub async fn of(browser: &Browser<'_>, pages: &[&str], times: usize) -> Self {
        let mut taken = Vec::new();
        for _ in 0..times {
            for page in pages {
                let began = Instant::now();
                browser.get(&format!("/admin{page}")).await.expect(200);
                taken.push(((*page).to_owned(), began.elapsed()));
            }
        }
        Self(taken)
    }

    /// The 95th percentile of all, and the page whose own is the longest.
    pub fn told(&self) -> String {
        let p95 = |mut times: Vec<Duration>| {
            times.sort_unstable();
            times[(times.len() * 95).div_ceil(100) - 1]
        };
        let of = |page: &str| p95(self.0.iter().filter(|(one, _)| one == page).map(|(_, time)| *time).collect());
        let longest = self.0.iter().map(|(page, _)| (of(page), page)).max().unwrap();
        let all = p95(self.0.iter().map(|(_, time)| *time).collect());
        format!("p95 {all:.1?}; the slowest is {:?} with {:.1?}", longest.1, longest.0)
    }
}

/// What processes have used of a core so far: the service, and all of the database.
async fn used(ground: &Ground) -> [f64; 2] {
    let rows = ground.server.client().await.query("SELECT pid FROM pg_stat_activity", &[]).await.unwrap();
    let database = rows.iter().map(|row| seconds(row.get::<_, i32>(0).unsigned_abs())).sum();
    [seconds(ground.service.process.id()), database]
}

/// Seconds of a core; none of a process that is gone.
fn seconds(process: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let after = text.rsplit_once(") ").map_or("", |(_, after)| after);
    let ticks: u64 = after.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    ticks as f64 / 100.0
}

/// Jobs that go on while nobody does them: they are paused, and this test moves their progress.
async fn jobs(ground: &Ground) -> Vec<Uuid> {
    let sql = "INSERT INTO platform.jobs (job_id, kind, state, asked, requested_by, request, progress)
        SELECT gen_random_uuid(), 'archive.verify', 'pending', 'pause', 'ann', '{}', '{\"done\": 0, \"total\": 1000000}'
        FROM generate_series(1, 10) RETURNING job_id";
    ground.server.client().await.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// What service and database use of a core while the jobs go on for so long.
async fn go_on(ground: &Ground, jobs: &[Uuid], seconds: u64) -> [f64; 2] {
    let client = ground.server.client().await;
    let (before, began) = (used(ground).await, Instant::now());
    while began.elapsed() < Duration::from_secs(seconds) {
        let sql = "UPDATE platform.jobs SET progress = jsonb_set(progress, '{done}', to_jsonb((progress ->> 'done')::int + 1))
            WHERE job_id = ANY ($1)";
        client.execute(sql, &[&jobs]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let (after, took) = (used(ground).await, began.elapsed().as_secs_f64());
    [0, 1].map(|of| (after[of] - before[of]) / took)
}

/// What it takes of a core that ten people follow a job each, beside what it takes without them: service, and database.
pub async fn share(ground: &Ground, seconds: u64) -> [f64; 2] {
    let jobs = jobs(ground).await;
    let without = go_on(ground, &jobs, seconds).await;
    let mut followers = JoinSet::new();
    for job in &jobs {
        let browser = Browser::at(&ground.service.url, "key", "a-secret").await;
        browser.get(&format!("/admin/jobs/{job}")).await.expect(200);
        let stream = http::client().get(format!("{}/admin/jobs/{job}/events", ground.service.url));
        let stream = stream.header("Cookie", &browser.cookie).timeout(Duration::from_secs(3 * seconds + 60));
        let answer = stream.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut chunks = answer.bytes_stream();
        followers.spawn(async move {
            let mut heard = 0_u64;
            let until = tokio::time::Instant::now() + Duration::from_secs(seconds);
            while let Ok(Some(chunk)) = tokio::time::timeout_at(until, chunks.next()).await {
                heard +=
                    u64::try_from(chunk.unwrap().windows(10).filter(|text| *text == b"event: job").count()).unwrap();
            }
            heard
        });
    }
    let with = go_on(ground, &jobs, seconds).await;
    let heard = followers.join_all().await;
    assert!(heard.iter().all(|heard| *heard >= seconds / 2), "each hears how far it is: {heard:?}");
    [0, 1].map(|of| with[of] - without[of])
}
