//! Configuration: environment first, then a TOML file, then defaults. The only room that reads the environment.
//!
//! Every key stands once, in `keys.rs`; parsing, `config show` and `docs/configuration.md` come from that table.

mod addresses;
pub mod cells;
pub mod collector;
mod docs;
mod error;
mod key;
mod keys;
mod legacy;
mod limits;
mod nearest;
pub mod receivers;
mod rewrite;
mod setting;
mod source;
mod supervisor;
mod table;
pub mod targets;
mod together;

pub use docs::{markdown, show};
pub use error::{ConfigError, Problem};
pub use keys::*;
pub use legacy::FILE_VERSION;
pub use rewrite::{Edit, Plan, RewriteError, plan_env_file, plan_file};
pub use setting::{ByteSize, LogFormat, PathList, Ratio, Sasl, Setting};
pub use source::{Environment, Loaded, Origin, load, read};
pub use supervisor::{Supervised, supervised};

/// The folder this process works in.
pub fn working_directory() -> std::io::Result<std::path::PathBuf> {
    std::env::current_dir()
}
