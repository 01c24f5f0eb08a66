//! How fast a backfill goes: the size of a batch by the time the last one took, and what makes it stand still. Pure.

use std::time::Duration;

use crate::store::platform::backfills::Health;

/// How long a batch is meant to take: a pause is heard between two.
const WANTED: Duration = Duration::from_millis(150);
pub const FIRST: i64 = 200;
const SMALLEST: i64 = 10;
const LARGEST: i64 = 20_000;
/// Replicas and slots behind by more than this.
const LAG: i64 = 256 << 20;
/// Write-ahead log a second, by whomever.
const LOG: f64 = 64_f64 * 1_048_576.0;
/// Dead rows of the walked table, as a part of those that live, once they are many.
const DEAD: f64 = 0.5;
const MANY: i64 = 100_000;
/// What is free of a disk that can be seen from here, in parts of all.
const FREE: f64 = 0.1;
/// 99 of 100 requests to this process are answered within this, in seconds.
const SLOW: f64 = 1.0;

/// What is known beside the database's own answers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Around {
    /// Free and all bytes of the disk.
    pub disk: Option<(u64, u64)>,
    /// Within which 99 of 100 requests were answered lately, in seconds.
    pub p99: Option<f64>,
    /// Bytes of write-ahead log a second since it was last looked.
    pub log: Option<f64>,
}

/// The next size after a batch of `size` rows that took so long.
pub fn next_size(size: i64, took: Duration) -> i64 {
    let factor = (WANTED.as_secs_f64() / took.as_secs_f64().max(0.001)).clamp(0.5, 2.0);
    ((size as f64 * factor) as i64).clamp(SMALLEST, LARGEST)
}

/// How long to rest after work that took so long, to work only `speed` parts of a hundred.
pub fn rest(took: Duration, speed: i32) -> Duration {
    let speed = f64::from(speed.clamp(1, 100));
    took.mul_f64((100.0 - speed) / speed)
}

/// Everything that makes it stand still, in words. Each one does by itself, and none is made up for by another.
pub fn brakes(health: &Health, around: &Around) -> Vec<String> {
    let mut found = Vec::new();
    let Health { waiting, lag, slot_lag, dead, live, .. } = *health;
    if waiting > 0 {
        found.push(format!("{waiting} sessions wait for a lock"));
    }
    if lag > LAG {
        found.push(format!("a replica is {} MiB behind", lag >> 20));
    }
    if slot_lag > LAG {
        found.push(format!("a replication slot holds back {} MiB of log", slot_lag >> 20));
    }
    if dead > MANY && dead as f64 > live as f64 * DEAD {
        found.push(format!("the table has {dead} dead rows beside {live}: it waits for a vacuum"));
    }
    if let Some(log) = around.log.filter(|log| *log > LOG) {
        found.push(format!("{} MiB of log are written a second", log as i64 >> 20));
    }
    if let Some((free, all)) = around.disk.filter(|(free, all)| (*free as f64) < *all as f64 * FREE) {
        found.push(format!("{} of {} MiB of the disk are free", free >> 20, all >> 20));
    }
    if let Some(p99) = around.p99.filter(|p99| *p99 > SLOW) {
        found.push(format!("1 of 100 requests takes {p99:.1} s or longer"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well() -> Health {
        Health { waiting: 0, lag: 0, slot_lag: 0, dead: 0, live: 10, log_position: 0, at: 0.0 }
    }

    #[test]
    fn a_batch_grows_and_shrinks_by_the_time_it_takes_within_bounds() {
        assert_eq!(next_size(200, WANTED), 200);
        assert_eq!(next_size(200, Duration::from_millis(1)), 400);
        assert_eq!(next_size(200, Duration::from_secs(9)), 100);
        assert_eq!(
            (next_size(LARGEST, Duration::ZERO), next_size(SMALLEST, Duration::from_secs(9))),
            (LARGEST, SMALLEST)
        );
    }

    #[test]
    fn a_speed_is_the_part_of_the_time_it_works() {
        let second = Duration::from_secs(1);
        assert_eq!((rest(second, 100), rest(second, 50)), (Duration::ZERO, second));
        assert_eq!(rest(second, 1).as_secs(), 99);
    }

    #[test]
    fn any_signal_alone_makes_it_stand_still_and_none_makes_up_for_another() {
        assert_eq!(brakes(&well(), &Around::default()), Vec::<String>::new());
        let full = Some((1, 100));
        let cases: Vec<(Health, Around, &str)> = vec![
            (Health { waiting: 1, ..well() }, Around::default(), "wait for a lock"),
            (Health { lag: LAG + 1, ..well() }, Around::default(), "replica"),
            (Health { slot_lag: LAG + 1, ..well() }, Around::default(), "slot"),
            (Health { dead: MANY + 1, ..well() }, Around::default(), "vacuum"),
            (well(), Around { log: Some(LOG * 2.0), ..Around::default() }, "a second"),
            (well(), Around { disk: full, ..Around::default() }, "disk"),
            (well(), Around { p99: Some(1.5), ..Around::default() }, "1.5 s"),
        ];
        for (health, around, word) in &cases {
            let found = brakes(health, around);
            assert!(found.len() == 1 && found[0].contains(word), "{word}: {found:?}");
        }
        let worst = Health { waiting: 1, lag: LAG + 1, slot_lag: LAG + 1, dead: MANY + 1, ..well() };
        assert_eq!(brakes(&worst, &Around { disk: full, p99: Some(1.5), log: Some(LOG * 2.0) }).len(), cases.len());
        // Few dead rows of a small table say nothing.
        assert_eq!(brakes(&Health { dead: MANY, live: 0, ..well() }, &Around::default()).len(), 0);
    }
}
