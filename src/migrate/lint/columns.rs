//! What a new column costs a table that has rows already.

use squawk_syntax::{
    SyntaxNode,
    ast::{self, AstNode},
};

use super::{
    LockClass,
    bodies::callee,
    cost::{BUILDS, Cost, REWRITES, SCANS},
    names::{Object, object_in, object_of},
    source::Source,
};

/// A new column is a catalog change unless every row must get a value of its own, or be looked at.
pub(super) fn added(column: &ast::AddColumn, source: &Source) -> Cost {
    let long = column.constraints().find_map(|constraint| match constraint {
        ast::Constraint::DefaultConstraint(it) => {
            it.expr().is_some_and(|expr| !is_one_value(expr.syntax())).then_some(REWRITES)
        }
        ast::Constraint::GeneratedConstraint(_) => Some(REWRITES),
        ast::Constraint::CheckConstraint(_) => Some(SCANS),
        ast::Constraint::UniqueConstraint(_) | ast::Constraint::PrimaryKeyConstraint(_) => Some(BUILDS),
        // With a default every row refers to something, and all of it is looked up.
        ast::Constraint::ReferencesConstraint(_) if has_default(column) => Some(SCANS),
        _ => None,
    });
    let filled = column.ty().is_some_and(|ty| fills_rows(&ty, source));
    match long.or(filled.then_some(REWRITES)) {
        Some(long) => (LockClass::Exclusive, Some(long)),
        None => (LockClass::ExclusiveBrief, None),
    }
}

fn has_default(column: &ast::AddColumn) -> bool {
    column.constraints().any(|constraint| matches!(constraint, ast::Constraint::DefaultConstraint(_)))
}

/// Whether a default is the same for all rows: constants, and functions that are stable within a transaction.
fn is_one_value(expr: &SyntaxNode) -> bool {
    const STABLE: [&str; 19] = [
        "coalesce",
        "concat",
        "current_setting",
        "date_trunc",
        "greatest",
        "jsonb_build_array",
        "jsonb_build_object",
        "least",
        "lower",
        "make_date",
        "make_interval",
        "now",
        "nullif",
        "statement_timestamp",
        "timezone",
        "to_timestamp",
        "transaction_timestamp",
        "upper",
        "decode",
    ];
    expr.descendants().filter_map(ast::CallExpr::cast).all(|call| {
        callee(call.syntax()).is_some_and(|function| {
            let of_the_system = function.schema.as_deref().is_none_or(|schema| schema == "pg_catalog");
            of_the_system && STABLE.contains(&function.name.as_str())
        })
    })
}

/// Types of the system that give no row a value or a rule of its own.
const PLAIN: [&str; 45] = [
    "bigint",
    "bool",
    "boolean",
    "box",
    "bytea",
    "char",
    "cidr",
    "circle",
    "date",
    "decimal",
    "float",
    "float4",
    "float8",
    "inet",
    "int",
    "int2",
    "int4",
    "int8",
    "integer",
    "json",
    "jsonb",
    "jsonpath",
    "line",
    "lseg",
    "macaddr",
    "money",
    "name",
    "numeric",
    "oid",
    "path",
    "pg_lsn",
    "point",
    "polygon",
    "real",
    "regclass",
    "smallint",
    "text",
    "time",
    "timestamptz",
    "tsquery",
    "tsvector",
    "tstzrange",
    "uuid",
    "xid8",
    "xml",
];

/// A serial counts; a domain may have a CHECK, so an unknown type is held to be one.
fn fills_rows(ty: &ast::Type, source: &Source) -> bool {
    let path = match ty {
        ast::Type::ArrayType(it) => return it.ty().is_some_and(|inner| fills_rows(&inner, source)),
        ast::Type::PathType(it) => object_of(it.path_ref()),
        _ => return false,
    };
    let Some(name) = path else { return true };
    if name.schema.as_deref().is_none_or(|schema| schema == "pg_catalog") && PLAIN.contains(&name.name.as_str()) {
        return false;
    }
    let made = source.running().find_map(|statement| match &statement.stmt {
        ast::Stmt::CreateType(it) if object_of(it.type_name()).as_ref() == Some(&name) => Some(false),
        ast::Stmt::CreateDomain(it) if object_of(it.domain()).as_ref() == Some(&name) => {
            Some(it.domain_qualifiers().any(|part| matches!(part, ast::DomainQualifier::Constraint(_))))
        }
        _ => None,
    });
    made.unwrap_or(true)
}

/// `schema.table.column` without its last part.
pub(super) fn table_of(column: &SyntaxNode) -> Option<Object> {
    let path = column.descendants().find_map(ast::PathRef::cast)?.qualifier()?;
    object_in(path.syntax())
}
