//! The two questions to the kernel that the standard library does not ask: who am I, and a signal to a process by number.

use std::io;

/// The signals PostgreSQL's postmaster understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// Roll back what runs, disconnect everybody, write a checkpoint, end.
    Fast,
    /// End now; the next start recovers from the log.
    Immediate,
    Kill,
}

/// The user this process acts as; 0 is root.
pub(super) fn effective_uid() -> u32 {
    // SAFETY: geteuid takes nothing, touches no memory and cannot fail.
    unsafe { libc::geteuid() }
}

/// Sends `signal` to the process `pid` alone. A process that is already gone is not an error.
pub(super) fn send(pid: i32, signal: Signal) -> io::Result<()> {
    if pid <= 1 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a process group or init is never signalled"));
    }
    let number = match signal {
        Signal::Fast => libc::SIGINT,
        Signal::Immediate => libc::SIGQUIT,
        Signal::Kill => libc::SIGKILL,
    };
    // SAFETY: kill takes two numbers and touches no memory of ours.
    if unsafe { libc::kill(pid, number) } == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        error => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_init_are_never_signalled() {
        for pid in [-5, -1, 0, 1] {
            assert_eq!(send(pid, Signal::Fast).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }
}
