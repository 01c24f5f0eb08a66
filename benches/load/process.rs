//! What the system says of processes and of the machine, read from `/proc`.

use std::{collections::HashMap, fs, process::Command};

use serde_json::{Value, json};

/// Linux counts CPU time in hundredths of a second for every program that asks this way.
const TICKS: f64 = 100.0;

struct Stat {
    parent: u32,
    ticks: u64,
}

/// The fields after the name, which may hold anything but ends with the last parenthesis.
fn stat(id: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    // Own time and that of children that have ended: user and system each.
    let ticks = [11, 12, 13, 14].iter().filter_map(|at| number(*at)).sum();
    Some(Stat { parent: number(1)?.try_into().ok()?, ticks })
}

pub fn parent(id: u32) -> Option<u32> {
    stat(id).map(|stat| stat.parent)
}

/// Of the process with all that descend from it.
pub fn cpu_seconds(root: u32) -> f64 {
    let Ok(entries) = fs::read_dir("/proc") else { return 0.0 };
    let all: HashMap<u32, Stat> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|id: u32| Some((id, stat(id)?)))
        .collect();
    let descends = |mut id: u32| loop {
        if id == root {
            return true;
        }
        match all.get(&id) {
            Some(stat) if stat.parent > 1 => id = stat.parent,
            _ => return false,
        }
    };
    let ticks: u64 = all.iter().filter(|(id, _)| descends(**id)).map(|(_, stat)| stat.ticks).sum();
    ticks as f64 / TICKS
}

/// Of this process alone: the servers it started are counted as themselves.
pub fn own_cpu_seconds() -> f64 {
    let Some(text) = fs::read_to_string("/proc/self/stat").ok() else { return 0.0 };
    let fields = text.rsplit_once(") ").map(|(_, rest)| rest.split(' ').collect::<Vec<_>>()).unwrap_or_default();
    let ticks: u64 = [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<u64>().ok()).sum();
    ticks as f64 / TICKS
}

/// Memory in use now and at most so far, in MiB.
pub fn memory_mib(id: u32) -> (f64, f64) {
    let text = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let field = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0.0) / 1024.0
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// What the figures were measured on.
pub fn machine(data: &std::path::Path) -> Value {
    let said = |program: &str, arguments: &[&str]| -> String {
        let output = Command::new(program).args(arguments).output().map(|output| output.stdout).unwrap_or_default();
        String::from_utf8_lossy(&output).trim().to_owned()
    };
    let line = |file: &str, name: &str| -> String {
        let text = fs::read_to_string(file).unwrap_or_default();
        let found = text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim_start_matches([' ', '\t', ':'])));
        found.unwrap_or_default().trim().to_owned()
    };
    let disk = said("df", &["--output=source,fstype,size,avail", "-h", &data.to_string_lossy()]);
    json!({
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "processor": line("/proc/cpuinfo", "model name"),
        "memory": line("/proc/meminfo", "MemTotal"),
        "kernel": said("uname", &["-sr"]),
        "disk": disk.lines().last().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "),
        "load": line("/proc/loadavg", ""),
        "commit": said("git", &["describe", "--always", "--dirty", "--abbrev=12"]),
    })
}
