//! Where the answers of commands leave the process: the one place that writes to standard output.
//!
//! A reader that has seen enough (`… | head -1`) closes the pipe. That is no fault: the rest is dropped, and the
//! command does its work to the end all the same.

use std::{
    fmt,
    io::{self, ErrorKind, Write},
    sync::atomic::{AtomicBool, Ordering},
};

/// Set when an answer did not arrive although somebody was there to read it, as on a full disk.
static LOST: AtomicBool = AtomicBool::new(false);

/// Prints a line to standard output; takes what `format!` takes.
macro_rules! say {
    ($($argument:tt)*) => { $crate::cli::print::line(format_args!($($argument)*)) };
}

/// Prints one line.
pub(in crate::cli) fn line(text: fmt::Arguments<'_>) {
    text_to(&mut io::stdout().lock(), format_args!("{text}\n"));
}

/// Prints a text that brings its own line ends.
pub(in crate::cli) fn text(text: &str) {
    text_to(&mut io::stdout().lock(), format_args!("{text}"));
}

/// Whether a part of the answer was lost.
pub(in crate::cli) fn lost() -> bool {
    LOST.load(Ordering::Relaxed)
}

fn text_to(out: &mut impl Write, text: fmt::Arguments<'_>) {
    if let Err(error) = out.write_fmt(text).and_then(|()| out.flush())
        && error.kind() != ErrorKind::BrokenPipe
        && !LOST.swap(true, Ordering::Relaxed)
    {
        eprintln!("error: the answer cannot be written: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_a_quiet_end_and_a_full_disk_is_not() {
        text_to(&mut Broken(ErrorKind::BrokenPipe), format_args!("x"));
        assert!(!lost());
        text_to(&mut Broken(ErrorKind::StorageFull), format_args!("x"));
        assert!(lost());
    }
}
