//! The way to a server that another process of ours runs: for commands beside a running service.

use std::{fs, path::Path};

use super::{
    cluster::SUPERUSER,
    error::EmbeddedError,
    home::Home,
    roles::{OWNER, SERVICE},
    server::connect,
    settings::{DATABASE, Listen},
};
use crate::model::Secret;

/// Connection strings of a server that is not ours to stop.
#[derive(Clone, Debug)]
pub struct Logins {
    pub owner: Secret,
    pub service: Secret,
}

/// The logins of the server that runs on `data_dir`; `None` when none answers there. Touches nothing.
pub async fn attach(data_dir: &Path) -> Result<Option<Logins>, EmbeddedError> {
    let Some(home) = Home::existing(data_dir) else { return Ok(None) };
    let file = fs::read_to_string(home.cluster().join("postmaster.pid"));
    let Some(listen) = file.ok().as_deref().and_then(address) else { return Ok(None) };
    let (Some(owner), Some(service)) = (home.password(OWNER)?, home.password(SERVICE)?) else { return Ok(None) };
    let logins =
        Logins { owner: listen.url(OWNER, &owner, DATABASE), service: listen.url(SERVICE, &service, DATABASE) };
    // the file may be a dead server's, and its port somebody else's by now: only the password proves it is ours
    Ok(connect(&logins.owner).await.is_ok().then_some(logins))
}

/// The way of the superuser into a database of the server that runs on `data_dir`; `None` when none answers there.
pub(super) async fn superuser(data_dir: &Path, database: &str) -> Result<Option<Secret>, EmbeddedError> {
    let Some(home) = Home::existing(data_dir) else { return Ok(None) };
    let file = fs::read_to_string(home.cluster().join("postmaster.pid"));
    let Some(listen) = file.ok().as_deref().and_then(address) else { return Ok(None) };
    let Some(password) = home.password(SUPERUSER)? else { return Ok(None) };
    let url = listen.url(SUPERUSER, &password, database);
    Ok(connect(&url).await.is_ok().then_some(url))
}

/// Where a server listens, as its own file says: the port, the socket's folder and the address are lines 4 to 6.
fn address(postmaster: &str) -> Option<Listen> {
    let lines: Vec<&str> = postmaster.lines().map(str::trim).collect();
    match lines.get(3..6)? {
        [_, folder, _] if !folder.is_empty() => Some(Listen::Socket(folder.into())),
        [port, _, "127.0.0.1"] => port.parse().ok().map(Listen::Local),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_the_servers_own_file() {
        let socket = "42\n/data\n1700000000\n5432\n/srv/run\n\n  1234 5\nready   \n";
        assert_eq!(address(socket), Some(Listen::Socket("/srv/run".into())));
        let port = "42\n/data\n1700000000\n38369\n\n127.0.0.1\n  1234 5\nready   \n";
        assert_eq!(address(port), Some(Listen::Local(38_369)));
        assert_eq!(address("42\n/data\n"), None);
        assert_eq!(address("42\n/data\n1\nmany\n\n127.0.0.1\n"), None);
    }

    #[tokio::test]
    async fn nobody_answers_in_an_empty_folder_and_nothing_is_made_there() {
        let data = tempfile::tempdir().unwrap();
        assert!(attach(data.path()).await.unwrap().is_none());
        assert_eq!(fs::read_dir(data.path()).unwrap().count(), 0);
    }
}
