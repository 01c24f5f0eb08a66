//! What a supervisor such as systemd says of itself in the environment.

use std::{ffi::OsString, time::Duration};

/// Where it listens, and how often it wants to hear that the process is alive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Supervised {
    /// A path, or a name in the abstract namespace behind an `@`.
    pub socket: Option<OsString>,
    pub watchdog: Option<Duration>,
}

/// As this process was told.
pub fn supervised() -> Supervised {
    of(own, std::process::id())
}

fn own(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

fn of(variable: impl Fn(&str) -> Option<OsString>, process: u32) -> Supervised {
    let text = |name: &str| variable(name).and_then(|value| value.into_string().ok());
    // What is meant for another process, such as the one that started this one, is not for us.
    let is_ours = text("WATCHDOG_PID").is_none_or(|id| id.parse() == Ok(process));
    let micros = text("WATCHDOG_USEC").and_then(|micros| micros.parse().ok()).filter(|micros| *micros > 0 && is_ours);
    let socket = variable("NOTIFY_SOCKET").filter(|socket| !socket.is_empty());
    Supervised { socket, watchdog: micros.map(Duration::from_micros) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(variables: &[(&str, &str)]) -> Supervised {
        let of_name = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
        of(of_name, 7)
    }

    #[test]
    fn only_what_is_meant_for_this_process_counts() {
        assert_eq!(told(&[]), Supervised::default());
        let both = told(&[("NOTIFY_SOCKET", "@x"), ("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", "7")]);
        assert_eq!((both.socket, both.watchdog), (Some("@x".into()), Some(Duration::from_secs(3))));
        assert_eq!(told(&[("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", "8")]).watchdog, None);
        assert_eq!(told(&[("WATCHDOG_USEC", "0")]).watchdog, None);
        assert_eq!(told(&[("WATCHDOG_USEC", "soon"), ("NOTIFY_SOCKET", "")]), Supervised::default());
    }
}
