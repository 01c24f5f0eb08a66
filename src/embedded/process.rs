//! The two questions to the kernel that the standard library does not ask: who am I, and a signal to a process by number.

use std::io;

use rustix::process::{Pid, Signal as Number, geteuid, kill_process};

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
    geteuid().as_raw()
}

/// Sends `signal` to the process `pid` alone, never to a group or to init. One that is already gone is not an error.
pub(super) fn send(pid: i32, signal: Signal) -> io::Result<()> {
    let Some(target) = (pid > 1).then(|| Pid::from_raw(pid)).flatten() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the number of a single process"));
    };
    let number = match signal {
        Signal::Fast => Number::INT,
        Signal::Immediate => Number::QUIT,
        Signal::Kill => Number::KILL,
    };
    match kill_process(target, number) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
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
