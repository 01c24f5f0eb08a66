//! The functions of the modules' schemas: what they run with, and who may call them.

use tokio_postgres::{Client, Error};

#[derive(Clone, Debug)]
pub struct Function {
    /// With its schema and arguments.
    pub name: String,
    /// Runs with its owner's rights.
    pub definer: bool,
    /// Whatever is in its text means the same to everybody: no temporary table or type comes before the system's own.
    pub guarded: bool,
    /// Anybody may call it.
    pub public: bool,
}

/// A body of standard SQL was read once, when it was written. What an extension brought is the extension's own.
const FUNCTIONS: &str = "/* functions::checks_functions */
    SELECT n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', p.prosecdef,
           'search_path=pg_catalog, pg_temp' = ANY (coalesce(p.proconfig, '{}')) OR (p.prosqlbody IS NOT NULL AND NOT p.prosecdef),
           EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                   WHERE a.grantee = 0 AND a.privilege_type = 'EXECUTE')
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
    WHERE n.nspname = ANY($1) AND p.prokind <> 'a' AND l.lanname NOT IN ('internal', 'c')
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
    ORDER BY 1";

pub(super) async fn read(client: &Client, schemas: &[String]) -> Result<Vec<Function>, Error> {
    let rows = client.query(FUNCTIONS, &[&schemas]).await?;
    Ok(rows
        .iter()
        .map(|row| Function { name: row.get(0), definer: row.get(1), guarded: row.get(2), public: row.get(3) })
        .collect())
}
