//! Which columns a name can mean, and of which kind they are. Pure.

use datafusion::sql::sqlparser::ast::{Expr, Ident};

use crate::{data::columns::Kind, fault::Fault};

/// The columns that a table or a query gives.
pub type Outputs = Vec<(String, Kind)>;

/// The tables of a query, inside the tables of the queries around it.
#[derive(Default)]
pub struct Scope<'a> {
    tables: Vec<(String, Outputs)>,
    around: Option<&'a Scope<'a>>,
}

impl<'a> Scope<'a> {
    pub fn inside(around: Option<&'a Scope<'a>>) -> Self {
        Self { tables: Vec::new(), around }
    }

    pub fn add(&mut self, name: &str, columns: Outputs) {
        self.tables.push((name.to_owned(), columns));
    }

    /// The first table.
    pub fn first(&self) -> Option<&str> {
        self.tables.first().map(|(name, _)| name.as_str())
    }

    /// All columns, or those of one table, by their whole names.
    pub fn written_out(&self, table: Option<&str>) -> Result<Vec<Expr>, Fault> {
        let mut tables = self.tables.iter().filter(|(name, _)| table.is_none_or(|table| table == name)).peekable();
        if let (None, Some(table)) = (tables.peek(), table) {
            return Err(Fault::new("42P01", format!("missing FROM-clause entry for table {table:?}")));
        }
        let quoted = |name: &str| Ident::with_quote('"', name);
        let whole = |(table, columns): &(String, Outputs)| {
            let table = quoted(table);
            let column = |(name, _): &(String, Kind)| Expr::CompoundIdentifier(vec![table.clone(), quoted(name)]);
            columns.iter().map(column).collect::<Vec<_>>()
        };
        Ok(tables.flat_map(whole).collect())
    }

    pub fn kind_of(&self, parts: &[Ident]) -> Result<(String, Kind), Fault> {
        let spelt = parts.iter().map(name).collect::<Vec<_>>();
        let (column, table) = match spelt.as_slice() {
            [column] => (column, None),
            [.., table, column] => (column, Some(table)),
            [] => return Err(Fault::no_column("")),
        };
        let mut scope = Some(self);
        while let Some(here) = scope {
            let tables = here.tables.iter().filter(|(name, _)| table.is_none_or(|table| table == name));
            let mut found = tables.flat_map(|(_, columns)| columns.iter().filter(|(name, _)| name == column));
            if let Some(kind) = found.next().cloned() {
                return match found.next() {
                    None => Ok(kind),
                    Some(_) => Err(Fault::new("42702", format!("column reference {column:?} is ambiguous"))),
                };
            }
            scope = here.around;
        }
        Err(Fault::no_column(column))
    }
}

/// As PostgreSQL folds it.
pub fn name(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}
