//! What the service's own login may do, as it sees itself.

use crate::store::{StoreError, door::ddl::Session};

#[derive(Clone, Debug, Default)]
pub struct ServiceRights {
    pub user: String,
    pub superuser: bool,
    pub bypass_row_security: bool,
    /// Group roles the login is not a member of, although it has to take them on.
    pub missing_groups: Vec<String>,
    /// Tables of ours that it owns; an owner can switch the policies off.
    pub owned_tables: i64,
    /// Rights on the ledger that would let it change or remove a statement.
    pub ledger_rights: Vec<String>,
    /// May make temporary tables and types, which come before the system's own where a name does not say its schema.
    pub temporary: bool,
}

const LOGIN: &str = "/* rights::checks_login */
    SELECT rolname::text, rolsuper, rolbypassrls,
           (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p') AND c.relowner = r.oid),
           has_database_privilege(current_database(), 'TEMPORARY')
    FROM pg_roles r WHERE rolname = current_user";

const GROUPS: &str = "/* rights::checks_groups */
    SELECT w.name FROM unnest($1::text[]) AS w(name) LEFT JOIN pg_roles r ON r.rolname = w.name
    WHERE NOT coalesce(pg_has_role(r.oid, 'MEMBER'), false) ORDER BY 1";

/// What the login is granted itself, and all that it is a member of; what the removers are granted does not count. The owner and
/// superusers may always; that is told by the other fields.
const LEDGER: &str = "/* rights::checks_ledger_rights */
    SELECT p FROM unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE']) AS p
    WHERE to_regclass('ledger.statements') IS NOT NULL AND EXISTS (
        SELECT FROM pg_class c CROSS JOIN LATERAL aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS a
        LEFT JOIN pg_roles g ON g.oid = a.grantee
        WHERE c.oid = to_regclass('ledger.statements') AND a.privilege_type = p
          AND (a.grantee = 0 OR pg_has_role(g.oid, 'MEMBER') AND g.rolname <> ALL ($1)))";

/// Reads the rights of the login behind `session`.
///
/// `removers` are those of the group roles `groups` that may remove: what they may is not held against the login.
pub async fn service(
    session: &Session,
    schemas: &[String],
    groups: &[String],
    removers: &[String],
) -> Result<ServiceRights, StoreError> {
    read(session, schemas, groups, removers).await.map_err(|e| StoreError::from_pg("checks_rights", &e))
}

async fn read(
    session: &Session,
    schemas: &[String],
    groups: &[String],
    removers: &[String],
) -> Result<ServiceRights, tokio_postgres::Error> {
    let client = session.client();
    let login = client.query_one(LOGIN, &[&schemas]).await?;
    let names = |rows: Vec<tokio_postgres::Row>| rows.iter().map(|row| row.get(0)).collect();
    Ok(ServiceRights {
        user: login.get(0),
        superuser: login.get(1),
        bypass_row_security: login.get(2),
        owned_tables: login.get(3),
        temporary: login.get(4),
        missing_groups: names(client.query(GROUPS, &[&groups]).await?),
        ledger_rights: names(client.query(LEDGER, &[&removers]).await?),
    })
}
