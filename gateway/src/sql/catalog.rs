//! The questions that ANALYZE of a foreign table asks of the catalog, by the exact words it asks them in. Pure.

/// What is asked, and of which table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// How many pages of so many bytes.
    Pages { table: String, page: u64 },
    /// How many rows, and what kind of relation.
    Rows { table: String, kind: bool },
}

/// The question in a query without its blanks.
pub fn question(spelt: &str) -> Option<Question> {
    if let Some(rest) = spelt.strip_prefix("SELECTpg_catalog.pg_relation_size('") {
        let (table, page) = rest.split_once("'::pg_catalog.regclass)/")?;
        return Some(Question::Pages { table: table_of(table)?, page: page.parse().ok().filter(|page| *page > 0)? });
    }
    let (columns, rest) = spelt.strip_prefix("SELECTreltuples")?.split_once("FROMpg_catalog.pg_classWHEREoid='")?;
    let table = table_of(rest.strip_suffix("'::pg_catalog.regclass")?)?;
    match columns {
        "" => Some(Question::Rows { table, kind: false }),
        ",relkind" => Some(Question::Rows { table, kind: true }),
        _ => None,
    }
}

fn table_of(name: &str) -> Option<String> {
    let name = name.replace('"', "");
    name.strip_prefix(crate::data::table::SCHEMA)?.strip_prefix('.').map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{super::statement, *};

    fn asked(text: &str) -> Option<Question> {
        match statement::parse(text).unwrap().remove(0) {
            statement::Statement::Query { spelt, .. } => question(&spelt),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_questions_of_every_release_are_known() {
        let table = "statements_2026_03".to_owned();
        let pages = "SELECT pg_catalog.pg_relation_size('archive.statements_2026_03'::pg_catalog.regclass) / 8192";
        assert_eq!(asked(pages), Some(Question::Pages { table: table.clone(), page: 8_192 }));
        let rows = "SELECT reltuples, relkind FROM pg_catalog.pg_class WHERE oid = 'archive.statements_2026_03'::pg_catalog.regclass";
        assert_eq!(asked(rows), Some(Question::Rows { table: table.clone(), kind: true }));
        assert_eq!(asked(&rows.replace(", relkind", "")), Some(Question::Rows { table, kind: false }));
        assert_eq!(asked("SELECT reltuples FROM pg_catalog.pg_class"), None);
        assert_eq!(asked("SELECT 1"), None);
    }
}
