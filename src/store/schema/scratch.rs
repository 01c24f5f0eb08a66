//! Databases for a moment: made on a server, used to try something out, and dropped.

use std::time::Duration;

use url::Url;

use crate::model::{Ids, Secret};
use crate::store::{Endpoint, StoreError, door::ddl::Session};

const PATIENCE: Duration = Duration::from_secs(30);

/// An empty database of its own. [`Scratch::drop`] removes it; a killed process leaves it, told by its name.
pub struct Scratch {
    name: String,
    server: Endpoint,
    pub endpoint: Endpoint,
}

impl Scratch {
    /// Makes a database on the server behind `server`, whose login must be allowed to.
    pub async fn create(server: &Endpoint, ids: &Ids) -> Result<Self, StoreError> {
        let name = format!("progress_scratch_{}", ids.uuid().simple());
        let endpoint = beside(server, &name)?;
        let session = Session::connect(server).await?;
        session.run("scratch_create", &format!("CREATE DATABASE {name} TEMPLATE template0"), PATIENCE).await?;
        Ok(Self { name, server: server.clone(), endpoint })
    }

    /// Removes the database, whoever is still connected.
    pub async fn drop(self) -> Result<(), StoreError> {
        let session = Session::connect(&self.server).await?;
        session.run("scratch_drop", &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name), PATIENCE).await
    }
}

/// The endpoint of another database on the same server.
fn beside(server: &Endpoint, database: &str) -> Result<Endpoint, StoreError> {
    let text = server.url.expose();
    let url = match text.starts_with("postgres://") || text.starts_with("postgresql://") {
        true => {
            let parsed = Url::parse(text);
            let mut url = parsed.map_err(|_| StoreError::Config("the database URL cannot be parsed".to_owned()))?;
            url.set_path(database);
            String::from(url)
        }
        // The driver takes the last of two equal keys.
        false => format!("{text} dbname={database}"),
    };
    Ok(Endpoint { url: Secret::new(url), ca_file: server.ca_file.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_database_changes() {
        let endpoint = |url: &str| Endpoint { url: Secret::new(url), ca_file: None };
        let other = |url| beside(&endpoint(url), "x").unwrap().url.expose().to_owned();
        assert_eq!(other("postgres://a:b@h:1/old?sslmode=require"), "postgres://a:b@h:1/x?sslmode=require");
        assert_eq!(other("host=h dbname=old"), "host=h dbname=old dbname=x");
        let (config, _) = beside(&endpoint("host=h dbname=old"), "x").unwrap().resolve("t").unwrap();
        assert_eq!(config.get_dbname(), Some("x"));
    }
}
