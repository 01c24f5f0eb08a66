//! Archived months as foreign tables: what PostgreSQL has to know of the gateway, and the change of a month's state with it.

use crate::{
    model::{
        Secret,
        partition::{Month, State},
    },
    store::{
        StoreError,
        door::tx::{Tx, column},
        platform::leases,
    },
};

/// Where the gateway is, as the PostgreSQL server finds it, and how it logs in there.
#[derive(Clone, Debug)]
pub struct Remote {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Secret,
    pub sslmode: String,
}

const LACKS: &str = "/* foreign::lacks */ SELECT ledger.lacks_for_foreign_months() AS lacks";

/// What a superuser has to type before there can be foreign tables; `None` where nothing is in the way.
pub async fn lacks(tx: &Tx<'_>) -> Result<Option<String>, StoreError> {
    column(&tx.query_one(LACKS, &[]).await?, "lacks")
}

const ATTACH: &str =
    "/* foreign::attach */ SELECT ledger.attach_foreign_month($1 /* moment */, $2 /* host */, $3 /* port */,
    $4 /* login */, $5 /* password */, $6 /* sslmode */) AS state";

/// Makes a foreign table answer for a month that is dropped; looks through it first at what is there. Answers the state that the
/// month then is in, or `None` where there is no such month.
pub async fn attach(tx: &Tx<'_>, month: Month, remote: &Remote) -> Result<Option<State>, StoreError> {
    leases::check(tx).await?;
    let port = remote.port.to_string();
    let Remote { host, user, sslmode, .. } = remote;
    state(tx, ATTACH, &[&month.begin(), host, &port, user, &remote.password.expose(), sslmode]).await
}

const DETACH: &str = "/* foreign::detach */ SELECT ledger.detach_foreign_month($1 /* moment */) AS state";

/// Takes the foreign table of a month away again, and with the last one what PostgreSQL knows of the gateway.
pub async fn detach(tx: &Tx<'_>, month: Month) -> Result<Option<State>, StoreError> {
    leases::check(tx).await?;
    state(tx, DETACH, &[&month.begin()]).await
}

async fn state(
    tx: &Tx<'_>,
    query: &str,
    params: &[&(dyn tokio_postgres::types::ToSql + Sync)],
) -> Result<Option<State>, StoreError> {
    let name: Option<String> = column(&tx.query_one(query, params).await?, "state")?;
    name.map(|name| {
        let unknown = || StoreError::Shape { name: "foreign", detail: format!("a month is {name:?}") };
        State::parse(&name).ok_or_else(unknown)
    })
    .transpose()
}
