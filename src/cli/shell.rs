//! `completions` and `man`: what a shell and a reader of manuals want to know of all the commands.

use std::{path::Path, process::ExitCode};

use clap::CommandFactory;
use clap_complete::Shell;

/// Prints the completions for a shell.
pub fn completions<C: CommandFactory>(shell: Shell) -> ExitCode {
    let mut text = Vec::new();
    let mut command = C::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut text);
    super::print::text(&String::from_utf8_lossy(&text));
    ExitCode::SUCCESS
}

/// Writes a manual page for every command into a folder.
pub fn man<C: CommandFactory>(folder: &Path) -> anyhow::Result<ExitCode> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(C::command(), folder)?;
    say!("the manual pages are in {}; man -M or man ./NAME.1 shows one", folder.display());
    Ok(ExitCode::SUCCESS)
}
