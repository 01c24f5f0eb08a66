//! The forms in which other migration tools keep their history: what tells them apart, and how each is read.
//!
//! To add one: a line in [`FORMS`], and its table as the tool makes it in `tests/it/migrate/tools.rs`.

/// How one tool keeps its history. The expressions are SQL over the columns of its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    pub tool: &'static str,
    /// Names under which the tool keeps it. Anybody may have renamed it, so the columns decide what it is.
    tables: &'static [&'static str],
    /// Whether its one row names the last file and stands for all before it.
    pub head: bool,
    pub version: String,
    /// An array of the names a row may mean its file by.
    pub names: String,
    pub at: String,
    pub checksum: String,
    /// Rows of files that were begun and not finished.
    pub unfinished: String,
    /// Rows that count; `$1` is the module, `{table}` the table itself.
    pub only: String,
    pub order: String,
}

/// A line of the table below: a form, and the columns by which it is known.
struct Known {
    tool: &'static str,
    tables: &'static [&'static str],
    columns: &'static [&'static str],
    /// Whether the table has these columns and no other.
    exact: bool,
    head: bool,
    version: &'static str,
    names: &'static str,
    at: &'static str,
    checksum: &'static str,
    unfinished: &'static str,
    only: &'static str,
    order: &'static str,
}

/// What a form says nothing about.
const PLAIN: Known = Known {
    tool: "",
    tables: &[],
    columns: &[],
    exact: false,
    head: false,
    version: "NULL",
    names: "'{}'",
    at: "NULL",
    checksum: "NULL",
    unfinished: "false",
    only: "true",
    order: "1",
};

/// The base name of a path, without the ending of a program's file.
macro_rules! base_name {
    ($column:literal) => {
        concat!(
            "ARRAY[regexp_replace(regexp_replace(",
            $column,
            ", '^.*/', ''), '\\.(js|cjs|mjs|ts|rb|py|xml|ya?ml|json)$', '')]"
        )
    };
}

const FORMS: [Known; 13] = [
    Known {
        tool: "refinery",
        tables: &["refinery_schema_history"],
        columns: &["version", "name", "applied_on", "checksum"],
        version: "version",
        names: "ARRAY[name::text]",
        at: "applied_on",
        checksum: "'siphash:' || checksum",
        order: "applied_on::timestamptz, version",
        ..PLAIN
    },
    Known {
        tool: "Flyway",
        tables: &["flyway_schema_history", "schema_version"],
        columns: &["installed_rank", "version", "description", "type", "script", "installed_on", "success"],
        version: "version",
        names: "ARRAY[regexp_replace(script, '^.*/', ''), description::text]",
        at: "installed_on",
        checksum: "'crc32:' || checksum",
        unfinished: "NOT success",
        // A baseline stands for no file, and what was undone later is not applied.
        only: "type NOT IN ('SCHEMA', 'BASELINE', 'DELETE') AND type NOT LIKE 'UNDO%' AND NOT EXISTS (SELECT FROM {table} u
               WHERE u.version = h.version AND u.installed_rank > h.installed_rank
                 AND (u.type LIKE 'UNDO%' OR u.type = 'DELETE'))",
        order: "installed_rank",
        ..PLAIN
    },
    Known {
        tool: "Liquibase",
        tables: &["databasechangelog"],
        columns: &["id", "author", "filename", "dateexecuted", "orderexecuted", "exectype", "md5sum"],
        names: concat!("ARRAY[id::text] || ", base_name!("filename")),
        at: "dateexecuted",
        checksum: "'liquibase:' || md5sum",
        unfinished: "exectype = 'FAILED'",
        only: "exectype <> 'SKIPPED'",
        order: "orderexecuted",
        ..PLAIN
    },
    Known {
        tool: "sqlx",
        tables: &["_sqlx_migrations"],
        columns: &["version", "description", "installed_on", "success", "checksum"],
        version: "version",
        names: "ARRAY[description::text]",
        at: "installed_on",
        checksum: "'sha384:' || encode(checksum, 'hex')",
        unfinished: "NOT success",
        order: "version",
        ..PLAIN
    },
    Known {
        tool: "Diesel",
        tables: &["__diesel_schema_migrations"],
        columns: &["version", "run_on"],
        exact: true,
        version: "version",
        at: "run_on",
        order: "run_on, version",
        ..PLAIN
    },
    Known {
        tool: "Alembic",
        tables: &["alembic_version"],
        columns: &["version_num"],
        exact: true,
        head: true,
        version: "version_num",
        names: "ARRAY[version_num::text]",
        ..PLAIN
    },
    Known {
        tool: "golang-migrate",
        tables: &["schema_migrations"],
        columns: &["version", "dirty"],
        exact: true,
        head: true,
        version: "version",
        unfinished: "dirty",
        ..PLAIN
    },
    Known {
        tool: "Rails",
        tables: &["schema_migrations"],
        columns: &["version"],
        exact: true,
        version: "version",
        order: "length(version), version",
        ..PLAIN
    },
    Known {
        tool: "Django",
        tables: &["django_migrations"],
        columns: &["id", "app", "name", "applied"],
        names: "ARRAY[name::text]",
        at: "applied",
        only: "app = $1",
        order: "id",
        ..PLAIN
    },
    Known {
        tool: "Entity Framework",
        tables: &["__EFMigrationsHistory"],
        columns: &["MigrationId", "ProductVersion"],
        exact: true,
        names: "ARRAY[\"MigrationId\"::text]",
        order: "\"MigrationId\"",
        ..PLAIN
    },
    Known {
        tool: "Prisma",
        tables: &["_prisma_migrations"],
        columns: &["migration_name", "checksum", "started_at", "finished_at", "rolled_back_at"],
        names: "ARRAY[migration_name::text]",
        at: "finished_at",
        checksum: "'sha256:' || checksum",
        unfinished: "finished_at IS NULL",
        only: "rolled_back_at IS NULL",
        order: "started_at, migration_name",
        ..PLAIN
    },
    Known {
        tool: "goose",
        tables: &["goose_db_version"],
        columns: &["id", "version_id", "is_applied", "tstamp"],
        version: "version_id",
        at: "tstamp",
        // The last word about a version counts; version 0 is the table's own.
        only: "version_id > 0 AND is_applied AND NOT EXISTS (SELECT FROM {table} u
               WHERE u.version_id = h.version_id AND u.id > h.id)",
        order: "id",
        ..PLAIN
    },
    Known {
        tool: "Sequelize",
        tables: &["SequelizeMeta"],
        columns: &["name"],
        exact: true,
        names: base_name!("name"),
        order: "name",
        ..PLAIN
    },
];

/// Names of tables of the plain form, beside whatever ends in `_schema_version`.
const PLAIN_TABLES: [&str; 5] =
    ["plugin_migrations", "knex_migrations", "pgmigrations", "schema_migrations", "schema_migrations_legacy"];
pub const PLAIN_ENDING: &str = "_schema_version";

/// Every name under which a tool keeps its table; beside them [`PLAIN_ENDING`].
pub fn tables() -> Vec<&'static str> {
    FORMS.iter().flat_map(|form| form.tables).chain(&PLAIN_TABLES).copied().collect()
}

/// The form of a table with these columns, whatever it is called; `None` where it tells no history.
pub fn of(columns: &[String]) -> Option<Form> {
    let has = |wanted: &str| columns.iter().any(|column| column == wanted);
    let known = FORMS.iter().find(|form| {
        form.columns.iter().all(|column| has(column)) && (!form.exact || columns.len() == form.columns.len())
    });
    known.map(Form::from).or_else(|| plain(columns))
}

/// The tool that keeps a table of this name, if its columns fit as well.
pub fn tool(table: &str, columns: &[String]) -> Option<&'static str> {
    let form = of(columns)?;
    let plain = PLAIN_TABLES.contains(&table) || table.ends_with(PLAIN_ENDING);
    let named = form.tables.contains(&table) || (form.tables.is_empty() && plain);
    // A known name with other columns than its tool makes is still a history.
    (named || plain).then_some(form.tool)
}

impl From<&Known> for Form {
    fn from(known: &Known) -> Self {
        Self {
            tool: known.tool,
            tables: known.tables,
            head: known.head,
            version: known.version.to_owned(),
            names: known.names.to_owned(),
            at: known.at.to_owned(),
            checksum: known.checksum.to_owned(),
            unfinished: known.unfinished.to_owned(),
            only: known.only.to_owned(),
            order: known.order.to_owned(),
        }
    }
}

/// `(name, applied_at)`, `(version, applied_at)` and their kin, under the usual names for these columns. Where a column
/// says whose the row is, only the module's own count.
fn plain(columns: &[String]) -> Option<Form> {
    let first = |wanted: &[&'static str]| wanted.iter().find(|name| columns.iter().any(|c| c == *name)).copied();
    let name = first(&["name", "migration_name", "migration", "filename", "script", "description"]);
    let version = first(&["version", "version_id"]);
    let at = first(&[
        "applied_at",
        "applied_on",
        "applied",
        "executed_at",
        "installed_on",
        "run_on",
        "migration_time",
        "tstamp",
    ])?;
    let owner = first(&["plugin", "plugin_name", "plugin_id", "module", "module_name"]);
    name.or(version)?;
    let text = |column: &str| format!("{column}::text");
    let id = first(&["id"]).map_or(String::new(), |id| format!(", {id}"));
    Some(Form {
        tool: "another tool",
        version: version.map_or_else(|| PLAIN.version.to_owned(), text),
        names: name.map_or_else(|| PLAIN.names.to_owned(), strip_ending),
        at: at.to_owned(),
        checksum: first(&["checksum", "hash"]).map_or_else(|| PLAIN.checksum.to_owned(), text),
        unfinished: first(&["dirty"]).map_or_else(|| PLAIN.unfinished.to_owned(), str::to_owned),
        only: owner.map_or_else(|| PLAIN.only.to_owned(), |owner| format!("lower({owner}::text) = $1")),
        order: format!("{at}::timestamptz{id}, {}", name.or(version).unwrap_or(at)),
        ..Form::from(&PLAIN)
    })
}

fn strip_ending(column: &str) -> String {
    format!("ARRAY[regexp_replace({column}::text, '\\.(js|cjs|mjs|ts)$', '')]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn columns_tell_the_tools_apart() {
        let tool = |names: &[&str]| of(&columns(names)).map(|form| form.tool);
        for form in &FORMS {
            assert_eq!(tool(form.columns), Some(form.tool));
        }
        assert_eq!(tool(&["version", "dirty"]), Some("golang-migrate"));
        assert_eq!(tool(&["version"]), Some("Rails"));
        assert_eq!(tool(&["id", "name", "batch", "migration_time"]), Some("another tool"));
        assert_eq!(tool(&["version", "applied_at", "description"]), Some("another tool"));
        assert_eq!(tool(&["id", "title"]), None);
        assert_eq!(tool(&["name", "colour"]), None);
    }

    #[test]
    fn a_table_is_a_history_by_its_name_and_its_columns() {
        assert_eq!(tool("alembic_version", &columns(&["version_num"])), Some("Alembic"));
        assert_eq!(tool("app_schema_version", &columns(&["version", "applied_at"])), Some("another tool"));
        assert_eq!(tool("schema_migrations", &columns(&["version"])), Some("Rails"));
        assert_eq!(tool("people", &columns(&["name", "applied_at"])), None, "somebody's own table");
        assert_eq!(tool("alembic_version", &columns(&["a", "b"])), None);
    }
}
