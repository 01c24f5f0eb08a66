//! The command line of the gateway.

use std::{io::Read, process::ExitCode};

use anyhow::Context;
use clap::{Parser, Subcommand};
use progress_gateway::{
    data::reach::Reach,
    wire::{logins, scram::Verifier},
};
use progress_service::{config, model::TenantId, telemetry};
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

#[derive(Parser)]
#[command(
    name = "progress-gateway",
    version,
    about = "Archived months as tables for a PostgreSQL server",
    max_term_width = 110
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until a signal comes
    Serve,
    /// Print a login for the file that `gateway.logins_file` names; the password is read from standard input, or made
    #[command(after_help = "Example: progress-gateway login --name archive --installation 0198… >> logins.toml\n\
                            A password that was made stands on standard error, once: it is kept nowhere.")]
    Login {
        #[arg(long)]
        name: String,
        /// Whose statements it sees: one tenant's
        #[arg(long, conflicts_with = "installation", required_unless_present = "installation")]
        tenant: Option<Uuid>,
        /// Or those of all tenants of an installation, for the PostgreSQL server, whose policies keep tenants apart
        #[arg(long)]
        installation: Option<Uuid>,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve => serve(),
        Command::Login { name, tenant, installation, password_stdin } => {
            let reach = match (tenant, installation) {
                (Some(tenant), _) => Reach::Tenant(TenantId(tenant)),
                (None, installation) => Reach::Installation(installation.unwrap_or_default()),
            };
            login(&name, &reach, password_stdin)
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> anyhow::Result<()> {
    let loaded = config::load()?;
    telemetry::logs::init(&loaded.config.service.log, loaded.config.service.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("gateway").build()?;
    runtime.block_on(async {
        let listening = progress_gateway::open(&loaded.config).await?;
        tracing::info!(address = %listening.address()?, "the gateway listens");
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! {
            () = listening.serve() => {}
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        tracing::info!("the gateway stops");
        Ok(())
    })
}

fn login(name: &str, reach: &Reach, from_input: bool) -> anyhow::Result<()> {
    let password = if from_input {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("the password cannot be read from standard input")?;
        text.trim_end_matches(['\r', '\n']).to_owned()
    } else {
        let made = hex(&rand::random::<[u8; 24]>());
        eprintln!("password of {name}: {made}");
        made
    };
    anyhow::ensure!(!password.is_empty(), "the password is empty");
    anyhow::ensure!(password.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "a password is of printable ASCII");
    print!("{}", logins::entry(name, reach, &Verifier::of(&password, rand::random())));
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
