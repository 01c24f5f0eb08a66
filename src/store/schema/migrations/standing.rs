//! Whether the files that a node began to serve with are still applied: one cheap look through the service's own login.

use crate::store::{
    As, Store, StoreError,
    door::tx::{Param, column},
    schema::migrations::{
        quoted,
        tables::{BASELINES, HISTORY, PROMISED},
    },
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
        match self.standing(wanted, missing, None).await {
            // A history that is gone has nothing.
            Err(error) if matches!(error.code(), Some("42P01" | "3F000")) => Ok(Some(wanted.to_vec())),
            found => found,
        }
    }

    /// What the histories have beside the known files, and that was promised to none of these releases; `None` where this login
    /// may not look.
    pub async fn strangers(&self, known: &[Wanted], releases: &[String]) -> Result<Option<Vec<Wanted>>, StoreError> {
        let promised: Vec<String> = releases.iter().map(|release| format!("{PROMISED}{release}")).collect();
        match self.standing(known, strangers, Some(&promised)).await {
            // A history that is gone is told of by the files that it lacks.
            Err(error) if matches!(error.code(), Some("42P01" | "3F000")) => Ok(Some(Vec::new())),
            found => found,
        }
    }

    async fn standing(
        &self,
        files: &[Wanted],
        sql: impl Fn(&[&str]) -> String,
        promised: Option<&Vec<String>>,
    ) -> Result<Option<Vec<Wanted>>, StoreError> {
        let mut schemas: Vec<&str> = files.iter().map(|one| one.schema.as_str()).collect();
        schemas.dedup();
        if schemas.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let sql = sql(&schemas);
        let found: Result<_, StoreError> = self
            .run_tx("schema_standing", As::Nobody, |tx| {
                let sql = sql.clone();
                Box::pin(async move {
                    let schemas: Vec<&str> = files.iter().map(|one| one.schema.as_str()).collect();
                    let names: Vec<&str> = files.iter().map(|one| one.file.as_str()).collect();
                    let mut params: Vec<Param<'_>> = vec![&schemas, &names];
                    if let Some(promised) = promised {
                        params.push(promised);
                    }
                    let rows = tx.query(&sql, &params).await?;
                    rows.iter()
                        .map(|row| Ok(Wanted { schema: column(row, "schema")?, file: column(row, "file")? }))
                        .collect()
                })
            })
            .await;
        match found {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.code() == Some("42501") => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn missing(schemas: &[&str]) -> String {
    format!(
        "/* standing::schema_standing */ SELECT wanted.schema, wanted.file
         FROM unnest($1::text[], $2::text[]) AS wanted (schema, file)
         WHERE NOT EXISTS (SELECT FROM ({}) AS history
             WHERE history.schema = wanted.schema AND history.migration_name = wanted.file)",
        histories(schemas, "")
    )
}

/// Rows that are not known, and that neither a squash nor a promise to one of the releases `$3` excuses.
fn strangers(schemas: &[&str]) -> String {
    let excused = format!(
        " WHERE NOT EXISTS (SELECT FROM SCHEMA.{BASELINES} AS excuse WHERE excuse.superseded = migration_name
            AND (NOT starts_with(excuse.baseline, '{PROMISED}') OR excuse.baseline = ANY ($3)))"
    );
    format!(
        "/* standing::schema_strangers */ SELECT history.schema, history.migration_name AS file FROM ({}) AS history
         WHERE NOT EXISTS (SELECT FROM unnest($1::text[], $2::text[]) AS known (schema, file)
             WHERE history.schema = known.schema AND history.migration_name = known.file)",
        histories(schemas, &excused)
    )
}

fn histories(schemas: &[&str], such: &str) -> String {
    let of = |schema: &&str| {
        let (literal, schema) = (schema.replace('\'', "''"), quoted(schema));
        let such = such.replace("SCHEMA", &schema);
        format!("SELECT '{literal}' AS schema, migration_name FROM {schema}.{HISTORY}{such}")
    };
    schemas.iter().map(of).collect::<Vec<_>>().join(" UNION ALL ")
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
        let sql = strangers(&["ledger", "o'dd\"one"]);
        assert!(
            sql.contains("\"ledger\".schema_migration_baselines") && sql.contains("\"o'dd\"\"one\".schema_migration_b"),
            "{sql}"
        );
    }
}
