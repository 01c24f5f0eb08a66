//! The process itself: which build it is, in which phase, and what it takes of the machine.
//!
//! What the kernel counts is read when somebody asks for the page. Elsewhere than on Linux those values are absent.

use std::fs;

use prometheus::{
    Counter, Gauge, IntGauge, IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::{register, registry::Registry};

/// The phases of a service, each a series of its own: `sum by (phase)` over nodes counts them.
pub const PHASES: [&str; 4] = ["starting", "maintenance", "serving", "draining"];

#[derive(Debug)]
pub struct ProcessMetrics {
    phase: IntGaugeVec,
}

impl ProcessMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let build = Opts::new("progress_build_info", "1, for each build");
        let build = register(registry, IntGaugeVec::new(build, &["version"]))?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let phase = Opts::new("progress_phase", "1 for the phase this node is in, 0 for the others");
        let phase = register(registry, IntGaugeVec::new(phase, &["phase"]))?;
        registry.register(Box::new(Kernel::new()?))?;
        let metrics = Self { phase };
        metrics.phase_is(PHASES[0]);
        Ok(metrics)
    }

    /// Notes the phase the service is in now.
    pub fn phase_is(&self, now: &str) {
        for phase in PHASES {
            self.phase.with_label_values(&[phase]).set((phase == now).into());
        }
    }
}

/// What the kernel says of this process, under the names that Prometheus' own libraries use.
struct Kernel {
    cpu: Counter,
    resident: IntGauge,
    threads: IntGauge,
    open_files: IntGauge,
    most_files: IntGauge,
    started: Gauge,
}

impl Kernel {
    fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            cpu: Counter::new("process_cpu_seconds_total", "processor time of this process, user and system")?,
            resident: IntGauge::new("process_resident_memory_bytes", "memory of this process that is in RAM")?,
            threads: IntGauge::new("process_threads", "threads of this process")?,
            open_files: IntGauge::new("process_open_fds", "open files and sockets of this process")?,
            most_files: IntGauge::new("process_max_fds", "files and sockets that may be open (`ulimit -n`)")?,
            started: Gauge::new("process_start_time_seconds", "Unix time at which this process began")?,
        })
    }

    fn parts(&self) -> [&dyn Collector; 6] {
        [&self.cpu, &self.resident, &self.threads, &self.open_files, &self.most_files, &self.started]
    }

    /// `None` where the kernel says nothing of the kind.
    fn look(&self) -> Option<()> {
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let stat = Stat::parse(&fs::read_to_string("/proc/self/stat").ok()?)?;
        self.cpu.reset();
        self.cpu.inc_by(stat.processor as f64 / ticks);
        self.threads.set(stat.threads);
        self.resident.set(stat.resident_pages * i64::try_from(rustix::param::page_size()).ok()?);
        self.started.set(booted(&fs::read_to_string("/proc/stat").ok()?)? + stat.started as f64 / ticks);
        // One of them is the folder that is read here.
        self.open_files.set(i64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok()? - 1);
        self.most_files.set(most_files(&fs::read_to_string("/proc/self/limits").ok()?)?);
        Some(())
    }
}

impl Collector for Kernel {
    fn desc(&self) -> Vec<&Desc> {
        self.parts().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        match self.look() {
            Some(()) => self.parts().into_iter().flat_map(Collector::collect).collect(),
            None => Vec::new(),
        }
    }
}

/// The fields of `/proc/self/stat` that matter here; times are in ticks of the clock.
#[derive(Debug, PartialEq)]
struct Stat {
    processor: u64,
    threads: i64,
    /// Since the machine was booted.
    started: u64,
    resident_pages: i64,
}

impl Stat {
    /// The second field is the program's name, in parentheses and with whatever it likes in between.
    fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // The first of `fields` is the third of the line.
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            processor: number(14)? + number(15)?,
            threads: i64::try_from(number(20)?).ok()?,
            started: number(22)?,
            resident_pages: i64::try_from(number(24)?).ok()?,
        })
    }
}

/// When the machine was booted, in seconds of Unix time.
fn booted(stat: &str) -> Option<f64> {
    stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

/// The soft limit of open files; no limit is the largest number.
fn most_files(limits: &str) -> Option<i64> {
    let rest = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    Some(rest.split_ascii_whitespace().next()?.parse().unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn fields_are_counted_from_behind_the_name() {
        let line =
            "42 (a (b) c) S 1 42 42 0 -1 4194304 9 0 0 0 150 50 0 0 20 0 7 0 1000 5000 321 18446744073709551615 1";
        let stat = Stat { processor: 200, threads: 7, started: 1_000, resident_pages: 321 };
        assert_eq!(Stat::parse(line), Some(stat));
        assert_eq!(Stat::parse("42 (a) S 1"), None);
        assert_eq!(booted("cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_000.0));
        let limits = "Max open files            1024                 4096                 files     \n";
        assert_eq!(most_files(limits), Some(1_024));
        assert_eq!(most_files("Max open files  unlimited  unlimited  files"), Some(i64::MAX));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_is_asked_each_time() {
        let kernel = Kernel::new().unwrap();
        let held = fs::File::open("/proc/self/stat").unwrap();
        kernel.look().unwrap();
        assert!(kernel.open_files.get() >= 4, "{}", kernel.open_files.get());
        drop(held);
        assert!(kernel.resident.get() > 1 << 20 && kernel.threads.get() >= 1 && kernel.most_files.get() > 0);
        let age = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64() - kernel.started.get();
        assert!((-2.0..86_400.0).contains(&age), "{age}");
    }

    #[test]
    fn one_phase_is_on() {
        let registry = Registry::default();
        let metrics = ProcessMetrics::register(&registry).unwrap();
        metrics.phase_is("serving");
        let on: i64 = PHASES.iter().map(|phase| metrics.phase.with_label_values(&[phase]).get()).sum();
        assert_eq!((on, metrics.phase.with_label_values(&["serving"]).get()), (1, 1));
    }
}
