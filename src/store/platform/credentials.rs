//! Credentials: keys with hashed secrets, per tenant. No clear secret ever comes through here.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::store::{
    Store, StoreError,
    door::{
        tx::{Tx, column},
        whom::As,
    },
    platform::tenants::TenantStatus,
};
use crate::{
    cmi5::{Launch, LaunchMode},
    model::{Scopes, TenantId, attempt::MoveOn, score::Score},
};

/// A credential as it may be shown: everything but its hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    pub id: Uuid,
    pub tenant: TenantId,
    pub api_key: String,
    pub scopes: Scopes,
    pub label: String,
    pub agent: Option<Map<String, Value>>,
    pub launch: Option<Launch>,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    /// Until when the secret before the last rotation works too.
    pub previous_valid_until: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// What authentication needs to know about a key.
#[derive(Clone, Debug)]
pub struct Found {
    pub credential: Credential,
    pub tenant_name: String,
    pub tenant_status: TenantStatus,
    pub secret_hash: String,
    pub previous_secret_hash: Option<String>,
}

pub(super) fn read(row: &Row) -> Result<Credential, StoreError> {
    let names: Vec<String> = column(row, "scopes")?;
    let scopes = Scopes::parse(&names.join(" ")).map_err(|e| shape(e.to_string()))?;
    let registration: Option<Uuid> = column(row, "registration")?;
    let launch =
        registration.zip(object(row, "launch_actor")?).map(|(registration, actor)| Launch::of(registration, actor));
    Ok(Credential {
        id: column(row, "credential_id")?,
        tenant: TenantId(column(row, "tenant_id")?),
        api_key: column(row, "api_key")?,
        scopes,
        label: column(row, "label")?,
        agent: object(row, "agent")?,
        launch,
        created_at: column(row, "created_at")?,
        expires_at: column(row, "expires_at")?,
        previous_valid_until: column(row, "previous_valid_until")?,
        revoked_at: column(row, "revoked_at")?,
    })
}

fn object(row: &Row, name: &'static str) -> Result<Option<Map<String, Value>>, StoreError> {
    match column(row, name)? {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(map)) => Ok(Some(map)),
        Some(_) => Err(shape(format!("{name} is not an object"))),
    }
}

fn shape(detail: String) -> StoreError {
    StoreError::Shape { name: "credentials", detail }
}

const FIND: &str = "/* credentials::find */
    SELECT * FROM platform.find_credential($1 /* api_key */)";

const FIND_LAUNCH: &str = "/* credentials::find_launch */
    SELECT * FROM platform.find_launch($1 /* credential */)";

/// What a launch is bound to beside its registration and learner.
pub(super) fn bind(launch: &mut Launch, row: &Row) -> Result<(), StoreError> {
    let known = |name: &'static str| move || shape(format!("{name} is not known"));
    let move_on: Option<String> = column(row, "move_on")?;
    let mode: Option<String> = column(row, "launch_mode")?;
    let mastery: Option<i32> = column(row, "mastery_score")?;
    launch.session = column(row, "session_id")?;
    launch.activity = column(row, "activity_id")?;
    launch.move_on = move_on.map(|name| MoveOn::named(&name).ok_or_else(known("move_on"))).transpose()?;
    launch.mode = mode.map(|name| LaunchMode::named(&name).ok_or_else(known("launch_mode"))).transpose()?;
    launch.mastery_score =
        mastery.map(|score| Score::from_ten_thousandths(score).ok_or_else(known("mastery_score"))).transpose()?;
    Ok(())
}

impl Store {
    /// The credential with this key, whoever's it is: authentication comes before the tenant is known.
    pub async fn find_credential(&self, api_key: &str) -> Result<Option<Found>, StoreError> {
        let api_key = api_key.to_owned();
        self.run_tx("find_credential", As::Nobody, |tx| {
            let api_key = api_key.clone();
            Box::pin(async move {
                let Some(row) = tx.query_opt(FIND, &[&api_key]).await? else { return Ok(None) };
                let mut credential = read(&row)?;
                if let Some(launch) = &mut credential.launch
                    && let Some(bound) = tx.query_opt(FIND_LAUNCH, &[&credential.id]).await?
                {
                    bind(launch, &bound)?;
                }
                Ok(Some(Found {
                    credential,
                    tenant_name: column(&row, "tenant_name")?,
                    tenant_status: TenantStatus::from_column("find_credential", column(&row, "tenant_status")?)?,
                    secret_hash: column(&row, "secret_hash")?,
                    previous_secret_hash: column(&row, "previous_secret_hash")?,
                }))
            })
        })
        .await
    }
}

const INSERT: &str = "/* credentials::insert */
    INSERT INTO platform.credentials (credential_id, tenant_id, api_key, secret_hash, scopes, label, agent,
                                      registration, launch_actor, created_at, expires_at,
                                      session_id, activity_id, move_on, mastery_score, launch_mode)
    VALUES ($1 /* id */, $2 /* tenant */, $3 /* api_key */, $4 /* hash */, $5 /* scopes */, $6 /* label */,
            $7 /* agent */, $8 /* registration */, $9 /* actor */, $10 /* created */, $11 /* expires */,
            $12 /* session */, $13 /* activity */, $14 /* move on */, $15 /* mastery score */, $16 /* mode */)
    ON CONFLICT DO NOTHING";

/// Adds a credential; `false` when its key or id is already taken.
pub async fn insert(tx: &Tx<'_>, new: &Credential, secret_hash: &str) -> Result<bool, StoreError> {
    let agent = new.agent.clone().map(Value::Object);
    let launch = new.launch.as_ref();
    let registration = launch.map(|launch| launch.registration);
    let actor = launch.map(|launch| Value::Object(launch.actor.clone()));
    let session = launch.and_then(|launch| launch.session.as_deref());
    let activity = launch.and_then(|launch| launch.activity.as_deref());
    let move_on = launch.and_then(|launch| launch.move_on).map(MoveOn::as_str);
    let mastery = launch.and_then(|launch| launch.mastery_score).map(Score::ten_thousandths);
    let mode = launch.and_then(|launch| launch.mode).map(LaunchMode::as_str);
    let count = tx
        .execute(
            INSERT,
            &[
                &new.id,
                &new.tenant.0,
                &new.api_key,
                &secret_hash,
                &new.scopes.names(),
                &new.label,
                &agent,
                &registration,
                &actor,
                &new.created_at,
                &new.expires_at,
                &session,
                &activity,
                &move_on,
                &mastery,
                &mode,
            ],
        )
        .await?;
    Ok(count == 1)
}

const LIST: &str = "/* credentials::list */
    SELECT credential_id, tenant_id, api_key, scopes, label, agent, registration, launch_actor, created_at,
           expires_at, previous_valid_until, revoked_at
    FROM platform.credentials
    WHERE tenant_id = $1 /* tenant */ AND registration IS NULL
      AND ($2::uuid /* after */ IS NULL OR credential_id > $2)
    ORDER BY credential_id LIMIT $3 /* limit */";

/// A tenant's lasting credentials by id, from the one after `after`. Launch credentials come and go unlisted.
pub async fn list(
    tx: &Tx<'_>,
    tenant: TenantId,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Credential>, StoreError> {
    tx.query(LIST, &[&tenant.0, &after, &limit]).await?.iter().map(read).collect()
}

const GET: &str = "/* credentials::get */
    SELECT credential_id, tenant_id, api_key, scopes, label, agent, registration, launch_actor, created_at,
           expires_at, previous_valid_until, revoked_at
    FROM platform.credentials WHERE tenant_id = $1 /* tenant */ AND credential_id = $2 /* id */";

/// One credential of a tenant.
pub async fn get(tx: &Tx<'_>, tenant: TenantId, id: Uuid) -> Result<Option<Credential>, StoreError> {
    tx.query_opt(GET, &[&tenant.0, &id]).await?.as_ref().map(read).transpose()
}

const LOCK: &str = "/* credentials::lock */
    SELECT credential_id, tenant_id, api_key, scopes, label, agent, registration, launch_actor, created_at,
           expires_at, previous_valid_until, revoked_at
    FROM platform.credentials WHERE tenant_id = $1 /* tenant */ AND credential_id = $2 /* id */
    FOR UPDATE";

/// One credential, held until the transaction ends.
pub async fn lock(tx: &Tx<'_>, tenant: TenantId, id: Uuid) -> Result<Option<Credential>, StoreError> {
    tx.query_opt(LOCK, &[&tenant.0, &id]).await?.as_ref().map(read).transpose()
}

const ROTATE: &str = "/* credentials::rotate */
    UPDATE platform.credentials
    SET previous_secret_hash = secret_hash, previous_valid_until = $3 /* old one's end */, secret_hash = $2 /* hash */
    WHERE credential_id = $1 /* id */";

/// Puts a new hash in place; the old secret works until `previous_valid_until`.
pub async fn rotate(
    tx: &Tx<'_>,
    id: Uuid,
    secret_hash: &str,
    previous_valid_until: DateTime<Utc>,
) -> Result<(), StoreError> {
    tx.execute(ROTATE, &[&id, &secret_hash, &previous_valid_until]).await.map(drop)
}

const REVOKE: &str = "/* credentials::revoke */
    UPDATE platform.credentials SET revoked_at = $2 /* now */ WHERE credential_id = $1 /* id */";

pub async fn revoke(tx: &Tx<'_>, id: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    tx.execute(REVOKE, &[&id, &now]).await.map(drop)
}

const FORGET_SPENT_LAUNCHES: &str = "/* credentials::forget_spent_launches */
    DELETE FROM platform.credentials
    WHERE credential_id IN (
        SELECT credential_id FROM platform.credentials
        WHERE tenant_id = $1 /* tenant */ AND registration IS NOT NULL AND expires_at < $2 /* before */
        LIMIT 100 FOR UPDATE SKIP LOCKED)";

/// Deletes some of the tenant's launch credentials whose time is over: they name a learner.
pub async fn forget_spent_launches(tx: &Tx<'_>, tenant: TenantId, before: DateTime<Utc>) -> Result<u64, StoreError> {
    tx.execute(FORGET_SPENT_LAUNCHES, &[&tenant.0, &before]).await
}

const ANY: &str = "/* credentials::any */
    SELECT EXISTS (SELECT FROM platform.credentials WHERE registration IS NULL) AS any";

/// Whether there is any lasting credential the transaction may see.
pub async fn any(tx: &Tx<'_>) -> Result<bool, StoreError> {
    column(&tx.query_one(ANY, &[]).await?, "any")
}
