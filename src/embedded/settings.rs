//! How the server is set: where it listens, and sizes taken modestly from the machine's memory.
//!
//! What must hold is given on the command line. The rest stands in `progress.conf`, written anew at each start and
//! included by `postgresql.conf`, so lines an operator adds below the include, and `ALTER SYSTEM`, still win.
//! Nothing here loosens durability: `fsync`, `synchronous_commit` and `full_page_writes` keep their defaults.

use std::{
    ffi::OsString,
    fs, io,
    net::{Ipv4Addr, TcpListener},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use crate::model::Secret;

/// The name of the included file, beside `postgresql.conf`.
pub(super) const FILE: &str = "progress.conf";
/// Where files of the server's log wait for whoever keeps them elsewhere, below the server's own folder.
pub(super) const LOG: &str = "progress_log";
/// The database of the service.
pub(super) const DATABASE: &str = "progress";
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Where clients find the server: a socket in the data folder, which no other user can enter, or this machine's own
/// address when a port was asked for, or when the folder's path is longer than a socket's may be or closed to the
/// server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Listen {
    Socket(PathBuf),
    Local(u16),
}

impl Listen {
    pub fn choose(run_dir: &Path, reachable: bool, port: Option<u16>) -> io::Result<Self> {
        match port {
            Some(port) => Ok(Self::Local(port)),
            None if reachable && socket_fits(run_dir) => Ok(Self::Socket(run_dir.to_owned())),
            None => Ok(Self::Local(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())),
        }
    }

    fn arguments(&self) -> [(&'static str, OsString); 3] {
        let (addresses, folder, port) = match self {
            Self::Socket(folder) => ("", folder.as_os_str().to_owned(), 5432),
            Self::Local(port) => ("127.0.0.1", OsString::new(), *port),
        };
        [("listen_addresses", addresses.into()), ("unix_socket_directories", folder), ("port", port.to_string().into())]
    }

    /// The connection string of `user` for `database`, password and all.
    pub fn url(&self, user: &str, password: &Secret, database: &str) -> Secret {
        let password = password.expose();
        Secret::new(match self {
            Self::Socket(folder) => {
                format!("postgresql://{user}:{password}@{}:5432/{database}?sslmode=disable", percent(folder))
            }
            Self::Local(port) => format!("postgresql://{user}:{password}@127.0.0.1:{port}/{database}?sslmode=disable"),
        })
    }
}

/// The shorter of the two systems' limits: 104 bytes with the closing zero on macOS, 108 on Linux. PostgreSQL splits
/// its list of folders at commas, so a comma in the path rules a socket out as well.
fn socket_fits(folder: &Path) -> bool {
    let bytes = folder.as_os_str().as_bytes();
    bytes.len() + "/.s.PGSQL.5432".len() < 104 && !bytes.iter().any(|byte| b",\"'\\".contains(byte))
}

fn percent(path: &Path) -> String {
    let encode = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => char::from(*byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    path.as_os_str().as_bytes().iter().map(encode).collect()
}

/// What the command line says, above any file.
pub(super) fn arguments(cluster: &Path, listen: &Listen, statistics: bool) -> Vec<OsString> {
    let mut arguments = vec!["-D".into(), cluster.as_os_str().to_owned()];
    let preload = if statistics { "pg_stat_statements" } else { "" };
    let fixed = [
        ("shared_preload_libraries", preload.into()),
        // standard error is a file of ours: it also has what is said before logging is set up
        ("logging_collector", "off".into()),
        ("log_destination", "stderr".into()),
    ];
    for (name, value) in listen.arguments().into_iter().chain(fixed) {
        let mut setting = OsString::from(name);
        setting.push("=");
        setting.push(value);
        arguments.extend(["-c".into(), setting]);
    }
    arguments
}

/// The text of `progress.conf` for a machine with `memory` bytes. Pages in the log stay as they are: these programs
/// know no compression but pglz, which takes 80 to 100 µs a page, a fifth of what a busy ledger spends. Room for the
/// log and for pages in memory keeps both rare instead.
pub(super) fn file(memory: u64) -> String {
    let part = |divisor: u64, least: u64, most: u64| (memory / divisor).clamp(least, most) / MIB;
    format!(
        "# written by progress-service at each start; add your own settings to postgresql.conf, below the include\n\
         max_connections = 100\n\
         shared_buffers = {shared}MB\n\
         effective_cache_size = {cache}MB\n\
         maintenance_work_mem = {maintenance}MB\n\
         work_mem = 16MB\n\
         wal_buffers = 16MB\n\
         max_wal_size = {wal}MB\n\
         checkpoint_timeout = 15min\n\
         random_page_cost = 1.1\n\
         jit = off\n\
         client_connection_check_interval = 10s\n\
         timezone = 'UTC'\n\
         log_timezone = 'UTC'\n\
         lc_messages = 'C'\n\
         log_line_prefix = '%m [%p] %a '\n\
         # statements hold personal data, and so do the details of an error about a row\n\
         log_min_error_statement = panic\n\
         log_error_verbosity = terse\n\
         log_parameter_max_length = 0\n",
        shared = part(4, 64 * MIB, 8 * GIB),
        cache = part(2, 256 * MIB, 64 * GIB),
        maintenance = part(32, 64 * MIB, 512 * MIB),
        wal = part(3, GIB, 8 * GIB),
    )
}

/// What is added to it where the log is kept. A file that is there is whole: it gets its name last. No more than a minute of work
/// is in the log alone.
pub(super) fn keeping() -> String {
    format!(
        "archive_mode = on\n\
         archive_command = 'test -f {LOG}/%f || {{ cp %p {LOG}/.%f && sync {LOG}/.%f && mv {LOG}/.%f {LOG}/%f; }}'\n\
         archive_timeout = 60s\n"
    )
}

/// The memory this process may use: the machine's, or less where a container is given less. Where neither can be
/// read (macOS) a small machine is assumed.
pub(super) fn memory() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text)).unwrap_or(4 * GIB);
    let container = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    container.and_then(|text| text.trim().parse().ok()).map_or(machine, |limit: u64| limit.min(machine))
}

fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::{Config, Host};

    use super::*;

    fn value(text: &str, name: &str) -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(" = ").trim_end_matches("MB").parse().unwrap()
    }

    #[test]
    fn sizes_follow_the_memory_between_a_floor_and_a_ceiling() {
        let shared = |memory| value(&file(memory), "shared_buffers");
        assert_eq!(shared(128 * MIB), 64);
        assert_eq!(shared(8 * GIB), 2048);
        assert_eq!(shared(512 * GIB), 8192);
        assert_eq!(value(&file(2 * GIB), "max_wal_size"), 1024);
        assert_eq!(value(&file(512 * GIB), "max_wal_size"), 8192);
    }

    #[test]
    fn durability_keeps_its_defaults() {
        let text = file(GIB);
        for name in ["fsync", "synchronous_commit", "full_page_writes"] {
            assert!(!text.contains(name), "{name}");
        }
    }

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(total("MemTotal:       24576000 kB\nMemFree: 1 kB\n"), Some(24_576_000 * 1024));
        assert_eq!(total("MemFree: 1 kB\n"), None);
        assert!(memory() > 64 * MIB);
    }

    #[test]
    fn a_socket_is_used_where_its_path_fits() {
        let short = Path::new("/srv/progress/data/postgres/run");
        assert_eq!(Listen::choose(short, true, None).unwrap(), Listen::Socket(short.to_owned()));
        assert_eq!(Listen::choose(short, true, Some(5999)).unwrap(), Listen::Local(5999));
        let long = PathBuf::from(format!("/{}", "a".repeat(95)));
        assert!(matches!(Listen::choose(&long, true, None).unwrap(), Listen::Local(port) if port > 0));
        assert!(matches!(Listen::choose(short, false, None).unwrap(), Listen::Local(_)));
        assert!(!socket_fits(Path::new("/srv/a,b/run")));
    }

    #[test]
    fn a_connection_string_is_read_back_by_the_driver() {
        let folder = PathBuf::from("/srv/größe @100%:/run");
        let url = Listen::Socket(folder.clone()).url("progress_app", &Secret::new("0a1b"), DATABASE);
        let config: Config = url.expose().parse().unwrap();
        assert_eq!(config.get_hosts(), [Host::Unix(folder)]);
        assert_eq!(config.get_password(), Some("0a1b".as_bytes()));
        assert_eq!((config.get_user(), config.get_dbname()), (Some("progress_app"), Some(DATABASE)));
        assert!(url::Url::parse(url.expose()).is_ok(), "other readers of URLs take it too");

        let config: Config = Listen::Local(5999).url("a", &Secret::new("b"), "c").expose().parse().unwrap();
        assert_eq!(config.get_hosts(), [Host::Tcp("127.0.0.1".into())]);
        assert_eq!(config.get_ports(), [5999]);
    }

    #[test]
    fn an_empty_address_list_is_given_as_such() {
        let arguments = arguments(Path::new("/c"), &Listen::Socket("/run".into()), false);
        for wanted in ["listen_addresses=", "unix_socket_directories=/run", "shared_preload_libraries="] {
            assert!(arguments.iter().any(|argument| argument == wanted), "{wanted}");
        }
    }
}
