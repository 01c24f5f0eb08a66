//! Activities, agents and verbs that statements have named: merged in sorted order, so that no two groups deadlock.

use std::collections::HashMap;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::store::{StoreError, Tx, door::tx::column};
use crate::{model::TenantId, xapi::keys::Ifi};

/// An activity with the definition merged over all statements.
#[derive(Clone, Debug, PartialEq)]
pub struct Activity {
    pub iri: String,
    pub definition: Option<Map<String, Value>>,
}

/// What gathers over the statements of a tenant: of each noun one text of JSON, merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gathered {
    /// Definitions of activities.
    Definitions,
    /// Displays of verbs.
    Displays,
}

impl Gathered {
    fn insert(self) -> &'static str {
        match self {
            Self::Definitions => {
                "/* vocabulary::insert_activities */ INSERT INTO ledger.activities (tenant_id, key, iri)
                 SELECT new.* FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS new (tenant_id, key, iri)
                 ORDER BY new.tenant_id, new.key ON CONFLICT DO NOTHING"
            }
            Self::Displays => {
                "/* vocabulary::insert_verbs */ INSERT INTO ledger.verbs_seen (tenant_id, key, iri)
                 SELECT new.* FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS new (tenant_id, key, iri)
                 ORDER BY new.tenant_id, new.key ON CONFLICT DO NOTHING"
            }
        }
    }

    // Each row is locked as it is found, in the order in which they are asked for.
    fn lock(self) -> &'static str {
        match self {
            Self::Definitions => {
                "/* vocabulary::lock_activities */ SELECT a.* FROM unnest($1::uuid[], $2::uuid[]) AS wanted (tenant_id, key)
                 CROSS JOIN LATERAL (SELECT tenant_id, key, definition AS gathered FROM ledger.activities a
                                     WHERE a.tenant_id = wanted.tenant_id AND a.key = wanted.key FOR UPDATE) a"
            }
            Self::Displays => {
                "/* vocabulary::lock_verbs */ SELECT v.* FROM unnest($1::uuid[], $2::uuid[]) AS wanted (tenant_id, key)
                 CROSS JOIN LATERAL (SELECT tenant_id, key, display AS gathered FROM ledger.verbs_seen v
                                     WHERE v.tenant_id = wanted.tenant_id AND v.key = wanted.key FOR UPDATE) v"
            }
        }
    }

    fn write(self) -> &'static str {
        match self {
            Self::Definitions => {
                "/* vocabulary::write_definitions */ UPDATE ledger.activities a
                 SET definition = new.gathered, updated_at = clock_timestamp()
                 FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS new (tenant_id, key, gathered)
                 WHERE a.tenant_id = new.tenant_id AND a.key = new.key"
            }
            Self::Displays => {
                "/* vocabulary::write_displays */ UPDATE ledger.verbs_seen v SET display = new.gathered
                 FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS new (tenant_id, key, gathered)
                 WHERE v.tenant_id = new.tenant_id AND v.key = new.key"
            }
        }
    }
}

/// An activity or a verb: a key means something only within its tenant.
pub type Noun = (TenantId, Uuid);

fn apart<'t>(nouns: impl Iterator<Item = (&'t Noun, &'t str)>) -> (Vec<Uuid>, Vec<Uuid>, Vec<&'t str>) {
    let (mut tenants, mut keys, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    for ((tenant, key), text) in nouns {
        tenants.push(tenant.0);
        keys.push(*key);
        texts.push(text);
    }
    (tenants, keys, texts)
}

/// Makes a row for each unseen noun and locks them all; answers what is known of each. `nouns` is sorted.
pub async fn lock(
    tx: &Tx<'_>,
    what: Gathered,
    nouns: &[(Noun, &str)],
) -> Result<HashMap<Noun, Option<Map<String, Value>>>, StoreError> {
    let (tenants, keys, iris) = apart(nouns.iter().map(|(noun, iri)| (noun, *iri)));
    tx.execute(what.insert(), &[&tenants, &keys, &iris]).await?;
    let rows = tx.query(what.lock(), &[&tenants, &keys]).await?;
    let known = |row| {
        let noun = (TenantId(column(row, "tenant_id")?), column(row, "key")?);
        Ok((noun, gathered(column(row, "gathered")?)?))
    };
    rows.iter().map(known).collect()
}

/// Writes what has been gathered by now.
pub async fn write(tx: &Tx<'_>, what: Gathered, texts: &[(Noun, String)]) -> Result<(), StoreError> {
    if texts.is_empty() {
        return Ok(());
    }
    let (tenants, keys, texts) = apart(texts.iter().map(|(noun, text)| (noun, text.as_str())));
    tx.execute(what.write(), &[&tenants, &keys, &texts]).await.map(drop)
}

pub async fn activity(tx: &Tx<'_>, tenant: TenantId, key: Uuid) -> Result<Option<Activity>, StoreError> {
    let row = tx
        .query_opt(
            "/* vocabulary::activity */ SELECT iri, definition FROM ledger.activities WHERE tenant_id = $1 AND key = $2",
            &[&tenant.0, &key],
        )
        .await?;
    row.map(|row| Ok(Activity { iri: column(&row, "iri")?, definition: gathered(column(&row, "definition")?)? }))
        .transpose()
}

/// The merged definitions of those of the activities that have one, by IRI.
pub async fn definitions(
    tx: &Tx<'_>,
    tenant: TenantId,
    keys: &[Uuid],
) -> Result<Vec<(String, Map<String, Value>)>, StoreError> {
    let rows = tx
        .query(
            "/* vocabulary::definitions */ SELECT iri, definition FROM ledger.activities
             WHERE tenant_id = $1 AND key = ANY($2) AND definition IS NOT NULL",
            &[&tenant.0, &keys],
        )
        .await?;
    let all = rows.iter().map(|row| Ok((column(row, "iri")?, gathered(column(row, "definition")?)?)));
    all.filter_map(|item: Result<_, StoreError>| item.map(|(iri, d)| d.map(|d| (iri, d))).transpose()).collect()
}

fn gathered(text: Option<&str>) -> Result<Option<Map<String, Value>>, StoreError> {
    text.map(serde_json::from_str)
        .transpose()
        .map_err(|e| StoreError::Shape { name: "gathered", detail: e.to_string() })
}

/// An agent and the name it was seen under, if any.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NamedAgent {
    pub tenant: TenantId,
    pub key: Uuid,
    pub ifi: Ifi,
    pub name: Option<String>,
}

/// Remembers agents and the names they were seen under.
pub async fn remember_agents(tx: &Tx<'_>, agents: &[NamedAgent]) -> Result<(), StoreError> {
    let tenants: Vec<Uuid> = agents.iter().map(|agent| agent.tenant.0).collect();
    let keys: Vec<Uuid> = agents.iter().map(|agent| agent.key).collect();
    let ifis: Vec<String> = agents.iter().map(|agent| Value::Object(agent.ifi.to_map()).to_string()).collect();
    let names: Vec<Option<&str>> = agents.iter().map(|agent| agent.name.as_deref()).collect();
    tx.execute(
        "/* vocabulary::remember_agents */ INSERT INTO ledger.agents AS known (tenant_id, key, ifi, names)
         SELECT new.tenant_id, new.key, min(new.ifi), array_remove(array_agg(DISTINCT new.name), NULL)
         FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) AS new (tenant_id, key, ifi, name)
         GROUP BY new.tenant_id, new.key ORDER BY new.tenant_id, new.key
         ON CONFLICT (tenant_id, key) DO UPDATE
             SET names = known.names || (SELECT coalesce(array_agg(n), '{}') FROM unnest(excluded.names) n
                                         WHERE n <> ALL (known.names))
             WHERE NOT excluded.names <@ known.names",
        &[&tenants, &keys, &ifis, &names],
    )
    .await
    .map(drop)
}

/// The names an agent was seen under, oldest first; `None` if it was never seen.
pub async fn agent_names(tx: &Tx<'_>, tenant: TenantId, key: Uuid) -> Result<Option<Vec<String>>, StoreError> {
    let row = tx
        .query_opt(
            "/* vocabulary::agent_names */ SELECT names FROM ledger.agents WHERE tenant_id = $1 AND key = $2
               AND NOT EXISTS (SELECT FROM ledger.hidden_persons h WHERE h.tenant_id = $1 AND h.agent_key = $2)",
            &[&tenant.0, &key],
        )
        .await?;
    row.map(|row| column(&row, "names")).transpose()
}

/// What is known of these verbs, in the order of their IRIs: the display gathered from statements, and the registry's name.
pub async fn displays(
    tx: &Tx<'_>,
    tenant: TenantId,
    verbs: &[(Uuid, &str)],
) -> Result<Vec<(String, Option<Map<String, Value>>, Option<String>)>, StoreError> {
    let (keys, iris): (Vec<Uuid>, Vec<&str>) = verbs.iter().copied().unzip();
    let rows = tx
        .query(
            "/* vocabulary::displays */ SELECT wanted.iri, seen.display, known.name
             FROM unnest($2::uuid[], $3::text[]) AS wanted (key, iri)
             LEFT JOIN ledger.verbs_seen seen ON seen.tenant_id = $1 AND seen.key = wanted.key
             LEFT JOIN progress.verbs known ON known.iri = wanted.iri
             ORDER BY wanted.iri",
            &[&tenant.0, &keys, &iris],
        )
        .await?;
    let shown = |row| Ok((column(row, "iri")?, gathered(column(row, "display")?)?, column(row, "name")?));
    rows.iter().map(shown).collect()
}

/// Whether a statement of the tenant ever used the verb.
pub async fn has_seen_verb(tx: &Tx<'_>, tenant: TenantId, key: Uuid) -> Result<bool, StoreError> {
    let sql = "/* vocabulary::has_seen_verb */ SELECT EXISTS (SELECT FROM ledger.verbs_seen WHERE tenant_id = $1 AND key = $2) AS seen";
    column(&tx.query_one(sql, &[&tenant.0, &key]).await?, "seen")
}

/// The IRIs of activities, by key.
pub async fn iris(tx: &Tx<'_>, tenant: TenantId, keys: &[Uuid]) -> Result<HashMap<Uuid, String>, StoreError> {
    let sql = "/* vocabulary::activity_iris */ SELECT a.key, a.iri FROM unnest($2::uuid[]) AS wanted (key)
        CROSS JOIN LATERAL (SELECT key, iri FROM ledger.activities a
                            WHERE a.tenant_id = $1 AND a.key = wanted.key OFFSET 0) a";
    let rows = tx.query(sql, &[&tenant.0, &keys]).await?;
    rows.iter().map(|row| Ok((column(row, "key")?, column(row, "iri")?))).collect()
}
