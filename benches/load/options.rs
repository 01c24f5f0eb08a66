//! How long to measure, and what.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Drives the service and its database as hard as this machine can, and prints what they did.
#[derive(Parser, Debug)]
pub struct Options {
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 30)]
    pub seconds: u64,
    /// Seconds of the long one, batches of 100 by 8 callers.
    #[arg(long, default_value_t = 300)]
    pub long: u64,
    /// Statements in the ledger that is read.
    #[arg(long, default_value_t = 1_000_000)]
    pub statements: usize,
    /// Statements copied to find PostgreSQL's own limit.
    #[arg(long, default_value_t = 100_000)]
    pub copied: usize,
    /// Statements that wait for the relay, and that a rebuild reads.
    #[arg(long, default_value_t = 300_000)]
    pub backlog: usize,
    /// Statements a second of the paced load.
    #[arg(long, default_value_t = 5_000)]
    pub rate: usize,
    /// Tenants at work beside each other.
    #[arg(long, default_value_t = 200)]
    pub tenants: usize,
    /// Tenants that say nothing.
    #[arg(long, default_value_t = 2_000)]
    pub quiet: usize,
    /// Statements of the tenant that moves, or is exported.
    #[arg(long, default_value_t = 100_000)]
    pub moved: usize,
    /// Seconds of the paced load.
    #[arg(long, default_value_t = 60)]
    pub paced: u64,
    /// A smoke run: under a minute, its figures mean nothing.
    #[arg(long)]
    pub quick: bool,
    /// Only this part.
    #[arg(long)]
    pub only: Option<Part>,
    /// Where the databases are made, and removed again; a folder on the disk to be measured.
    #[arg(long, default_value = "target/load")]
    pub data: PathBuf,
    /// Added by cargo.
    #[arg(long, hide = true)]
    pub bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    Write,
    Read,
    Limit,
    Stock,
    Traced,
    Tenants,
    Events,
    Archive,
    Erasure,
    Moving,
    Transfer,
}

impl Options {
    pub fn read() -> Self {
        let mut options = Self::parse();
        if options.quick {
            (options.seconds, options.long, options.statements, options.copied) = (2, 4, 20_000, 10_000);
            (options.backlog, options.rate, options.paced) = (30_000, 500, 5);
            (options.tenants, options.quiet, options.moved) = (20, 200, 2_000);
        }
        options
    }

    pub fn wants(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }
}
