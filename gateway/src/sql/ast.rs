//! Pieces of a query's tree: how they are made and told. Pure.

use datafusion::sql::sqlparser::{
    ast::{BinaryOperator, DataType, Expr, Ident, ObjectName, Value, ValueWithSpan},
    dialect::PostgreSqlDialect,
    parser::Parser,
};

use super::scope;
use crate::{data::columns::Kind, fault::Fault};

/// What nobody said that it comes out the same.
pub fn unknown(expr: &Expr) -> Fault {
    let text: String = expr.to_string().chars().take(100).collect();
    Fault::unsupported(text)
}

pub fn kind_of(data_type: &DataType) -> Option<Kind> {
    kind_named(&data_type.to_string())
}

pub fn kind_named(name: &str) -> Option<Kind> {
    let name = name.to_ascii_uppercase();
    match name.strip_prefix("PG_CATALOG.").unwrap_or(&name) {
        "UUID" => Some(Kind::Uuid),
        "TIMESTAMP WITH TIME ZONE" | "TIMESTAMPTZ" => Some(Kind::Moment),
        "TEXT" | "VARCHAR" | "CHARACTER VARYING" => Some(Kind::Text),
        "BOOLEAN" | "BOOL" => Some(Kind::Bool),
        "BIGINT" | "INT8" | "INTEGER" | "INT" | "INT4" | "SMALLINT" => Some(Kind::Number),
        _ => None,
    }
}

/// Of nothing, nothing is one, be it null.
pub fn one_of(expr: Expr, list: Vec<Expr>, negated: bool) -> Expr {
    if list.is_empty() { truth(negated) } else { Expr::InList { expr: Box::new(expr), list, negated } }
}

pub fn both(one: Option<Expr>, other: Expr) -> Expr {
    match one {
        Some(one) => {
            let (left, right) = (Box::new(Expr::Nested(Box::new(one))), Box::new(other));
            Expr::BinaryOp { left, op: BinaryOperator::And, right }
        }
        None => other,
    }
}

pub fn truth(holds: bool) -> Expr {
    Expr::Value(Value::Boolean(holds).into())
}

pub fn string(text: String) -> Expr {
    Expr::Value(Value::SingleQuotedString(text).into())
}

pub fn is_number(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) if digits.parse::<i64>().is_ok())
}

pub fn is_random(expr: &Expr) -> bool {
    matches!(expr, Expr::Function(function) if last(&function.name).as_deref() == Some("random"))
}

/// A share of the rows of a table, told by the last digits of their ids, which are random.
pub fn sampled(table: &str, share: f64) -> Result<Expr, Fault> {
    let below = (share.clamp(0.0, 1.0) * f64::from(u32::MAX)) as u32;
    let text = format!("substr({}.id, 29, 8) < '{below:08x}'", Ident::with_quote('"', table));
    let dialect = PostgreSqlDialect {};
    let parser = Parser::new(&dialect).try_with_sql(&text);
    parser.and_then(|mut parser| parser.parse_expr()).map_err(Fault::syntax)
}

/// The last part of a name, as PostgreSQL folds it.
pub fn last(name: &ObjectName) -> Option<String> {
    name.0.last().and_then(|part| part.as_ident()).map(scope::name)
}
