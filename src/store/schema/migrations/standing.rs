//! Whether the files that a node began to serve with are still applied: one cheap look through the service's own login.

use crate::store::{
    As, Store, StoreError,
    door::tx::{Param, column},
    schema::migrations::{quoted, tables::HISTORY},
};

/// A file that a history should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub schema: String,
    pub file: String,
}

impl Store {
    /// Those of the files that no history has; `None` where this login may not look.
    pub async fn unapplied(&self, wanted: &[Wanted]) -> Result<Option<Vec<Wanted>>, StoreError> {
        let mut schemas: Vec<&str> = wanted.iter().map(|one| one.schema.as_str()).collect();
        schemas.dedup();
        if schemas.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let sql = missing(&schemas);
        let found: Result<_, StoreError> = self
            .run_tx("schema_standing", As::Nobody, |tx| {
                let sql = sql.clone();
                Box::pin(async move {
                    let schemas: Vec<&str> = wanted.iter().map(|one| one.schema.as_str()).collect();
                    let files: Vec<&str> = wanted.iter().map(|one| one.file.as_str()).collect();
                    let params: [Param<'_>; 2] = [&schemas, &files];
                    let rows = tx.query(&sql, &params).await?;
                    rows.iter()
                        .map(|row| Ok(Wanted { schema: column(row, "schema")?, file: column(row, "file")? }))
                        .collect()
                })
            })
            .await;
        match found {
            Ok(found) => Ok(Some(found)),
            // A history that is gone has nothing.
            Err(error) if matches!(error.code(), Some("42P01" | "3F000")) => Ok(Some(wanted.to_vec())),
            Err(error) if error.code() == Some("42501") => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn missing(schemas: &[&str]) -> String {
    let histories: Vec<String> = schemas
        .iter()
        .map(|schema| {
            let literal = schema.replace('\'', "''");
            format!("SELECT '{literal}' AS schema, migration_name FROM {}.{HISTORY}", quoted(schema))
        })
        .collect();
    format!(
        "/* standing::schema_standing */ SELECT wanted.schema, wanted.file
         FROM unnest($1::text[], $2::text[]) AS wanted (schema, file)
         WHERE NOT EXISTS (SELECT FROM ({}) AS history
             WHERE history.schema = wanted.schema AND history.migration_name = wanted.file)",
        histories.join(" UNION ALL ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_is_asked_once_and_named_safely() {
        let sql = missing(&["ledger", "o'dd\"one"]);
        assert!(sql.contains("'ledger' AS schema") && sql.contains("\"ledger\".schema_migrations"), "{sql}");
        assert!(sql.contains("'o''dd\"one' AS schema") && sql.contains("\"o'dd\"\"one\".schema_migrations"), "{sql}");
        assert_eq!(sql.matches("UNION ALL").count(), 1);
    }
}
