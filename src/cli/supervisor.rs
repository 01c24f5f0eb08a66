//! What a supervisor such as systemd is told while the service runs: that it is ready, alive, and stopping. Without one nothing is said.

use std::{
    ffi::OsStr,
    io,
    os::unix::{
        ffi::OsStrExt as _,
        net::{SocketAddr, UnixDatagram},
    },
    sync::Arc,
    time::Duration,
};

use crate::config::Supervised;

/// The line to the supervisor, if there is one.
pub struct Supervisor {
    line: Option<Arc<UnixDatagram>>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// One that cannot be reached is warned of, and does without.
    pub fn new(told: &Supervised) -> Self {
        let line = told.socket.as_deref().and_then(|socket| match open(socket) {
            Ok(line) => Some(Arc::new(line)),
            Err(error) => {
                tracing::warn!(%error, "the supervisor that NOTIFY_SOCKET names cannot be reached");
                None
            }
        });
        Self { line, watchdog: told.watchdog }
    }

    /// Says something, such as `READY=1`.
    pub fn say(&self, what: &str) {
        self.line.iter().for_each(|line| said(line, what));
    }

    /// Says again and again that the runtime with the database's connections and the loops goes on: three times as often as is asked.
    pub fn keep_alive(&self) {
        let (Some(line), Some(every)) = (self.line.clone(), self.watchdog) else { return };
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval((every / 3).max(Duration::from_millis(1)));
            loop {
                ticks.tick().await;
                said(&line, "WATCHDOG=1");
            }
        });
    }
}

fn said(line: &UnixDatagram, what: &str) {
    if let Err(error) = line.send(what.as_bytes()) {
        tracing::warn!(%error, what, "the supervisor was not told");
    }
}

fn open(socket: &OsStr) -> io::Result<UnixDatagram> {
    let line = UnixDatagram::unbound()?;
    // A supervisor that does not listen must not hold the service.
    line.set_nonblocking(true)?;
    match socket.as_bytes() {
        [b'@', name @ ..] => line.connect_addr(&nameless(name)?)?,
        _ => line.connect(socket)?,
    }
    Ok(line)
}

#[cfg(target_os = "linux")]
fn nameless(name: &[u8]) -> io::Result<SocketAddr> {
    <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn nameless(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}
