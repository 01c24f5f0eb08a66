//! The PostgreSQL that the service starts by itself when no database is configured.
//!
//! It lives in the data folder, listens where only this user can reach it, survives the death of either process, and
//! never touches a folder it did not make. Linux and macOS; there is no embedded server elsewhere.

mod attach;
mod cluster;
mod error;
mod fetch;
pub mod guest;
mod home;
mod lock;
mod orphan;
pub mod physical;
mod process;
mod roles;
mod run_as;
mod server;
mod settings;
mod supervise;
mod takeover;
pub mod upgrade;

use std::path::PathBuf;

use tracing::info;

pub use attach::{Logins, attach};
pub use error::EmbeddedError;

use self::{
    cluster::SUPERUSER,
    fetch::Programs,
    home::Home,
    lock::FolderLock,
    roles::{OWNER, SERVICE},
    run_as::RunAs,
    server::{Plan, Server},
    settings::{DATABASE, Listen},
    supervise::Supervisor,
};
use crate::{
    embedded::error::io_at,
    model::{Clock, Ids, Secret},
};

/// Where the embedded server lives and what it runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The service's data folder; the database goes to `postgres` below it.
    pub data_dir: PathBuf,
    /// A folder with `initdb` and `postgres`, version 15 or newer; absent: fetched once.
    pub programs: Option<PathBuf>,
    /// Where fetched programs are kept. Several data folders may share it. When we are root and the server's user
    /// may not enter it, `/var/cache/progress-service` is used instead.
    pub cache_dir: PathBuf,
    /// A port on 127.0.0.1, for tools that cannot use a socket; absent: a socket in the data folder.
    pub port: Option<u16>,
    /// Whether files of the log that are complete are laid aside, for somebody to keep them elsewhere.
    pub keeps_log: bool,
}

/// A server that runs, is watched, and is started again if it dies.
#[derive(Debug)]
pub struct Embedded {
    owner: Secret,
    service: Secret,
    version: String,
    supervisor: Supervisor,
}

impl Embedded {
    /// The connection string of the owner of all objects, who is no superuser: for migrations, never for requests.
    pub fn owner_url(&self) -> &Secret {
        &self.owner
    }

    /// The connection string of the service, which owns nothing and has the rights of its group roles.
    pub fn service_url(&self) -> &Secret {
        &self.service
    }

    /// What the server says it is.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Disconnects everybody, writes a checkpoint and waits for the server's end.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        self.supervisor.stop().await
    }
}

/// Starts the embedded server: fetches the programs and makes the database where they are missing, ends a server that
/// outlived an earlier process, and returns once connections are answered.
pub async fn start(options: Options, clock: &Clock, ids: &Ids) -> Result<Embedded, EmbeddedError> {
    let data = Home::data_folder(&options.data_dir)?;
    let lock = FolderLock::take(&data)?;
    upgrade::finish(&data)?;
    physical::refuse_cut_off(&data)?;
    let home = Home::open(&data, clock)?;
    let run_as = RunAs::choose(&home.cluster())?;
    let programs = programs(&options, &home, &run_as).await?;
    if !home.check_major(programs.major)? {
        home.init(&programs, &run_as, ids).await?;
    }
    home.settle_owner(&run_as)?;
    let password = home.password(SUPERUSER)?;
    let password = password.ok_or_else(|| EmbeddedError::PasswordLost { file: home.password_file(SUPERUSER) })?;
    orphan::settle(&home.cluster()).await?;
    let reachable = run_as.door(&home.cluster())?.is_open();
    let listen =
        Listen::choose(&home.run_dir(), reachable, options.port).map_err(io_at("find a port for", home.path()))?;
    let plan = Plan { home, programs, run_as, listen, password, keeps_log: options.keeps_log };
    let server = Server::start(&plan).await?;
    let passwords = match roles::prepare(&plan, ids).await {
        Ok(passwords) => passwords,
        Err(error) => {
            server.stop(&plan.home.cluster()).await?;
            return Err(error);
        }
    };
    info!(version = plan.programs.version, folder = %plan.home.path().display(), "the embedded PostgreSQL runs");
    Ok(Embedded {
        owner: plan.listen.url(OWNER, &passwords.owner, DATABASE),
        service: plan.listen.url(SERVICE, &passwords.service, DATABASE),
        version: plan.programs.version.clone(),
        supervisor: Supervisor::watch(plan, server, lock),
    })
}

/// The major version of the programs that a start would use.
pub async fn programs_major(options: &Options) -> Result<u32, EmbeddedError> {
    match &options.programs {
        Some(folder) => Ok(Programs::probe(folder, &RunAs::choose(&options.data_dir)?).await?.major),
        None => Ok(fetch::MAJOR),
    }
}

/// The programs to run; a database they could not run is told before anything is fetched for it.
async fn programs(options: &Options, home: &Home, run_as: &RunAs) -> Result<Programs, EmbeddedError> {
    match &options.programs {
        Some(folder) => Programs::probe(folder, run_as).await,
        None => {
            home.check_major(fetch::MAJOR)?;
            let cache = fetch::cache_for(&options.cache_dir, run_as);
            Programs::probe(&fetch::fetch(cache).await?, run_as).await
        }
    }
}
