//! Code inside of a statement: `DO` blocks, bodies of functions, and the strings they execute. What can be read is read.

use squawk_syntax::{
    SourceFile, SyntaxKind, SyntaxNode,
    ast::{self, AstNode},
    plpgsql::Plpgsql,
    sql_body::SqlBody,
};

use super::{
    into::without_targets,
    names::{Object, PLACEHOLDER, object_of},
    nodes::{first, start_of},
};

/// What stands in the bodies of one statement, with lines.
#[derive(Default)]
pub(super) struct Found {
    pub statements: Vec<(ast::Stmt, u32)>,
    pub parts: Vec<(SyntaxNode, u32)>,
    pub unread: Vec<(u32, &'static str)>,
}

const PUT_TOGETHER: &str = "SQL that is put together at run time";
const OTHER_LANGUAGE: &str = "a block in another language than plpgsql";
const UNPARSED: &str = "a body that does not parse";

/// The name of the routine that a statement creates.
pub(super) fn routine(stmt: &ast::Stmt) -> Option<Object> {
    match stmt {
        ast::Stmt::CreateFunction(it) => object_of(it.name()),
        ast::Stmt::CreateProcedure(it) => object_of(it.name()),
        _ => None,
    }
}

/// Everything that a node calls by name.
pub(super) fn called_in(node: &SyntaxNode) -> Vec<Object> {
    node.descendants().filter_map(|node| callee(&node)).collect()
}

/// The name of what a call expression, or a CALL, calls. A name without a schema stands without one here too.
pub(super) fn callee(node: &SyntaxNode) -> Option<Object> {
    if let Some(call) = ast::Call::cast(node.clone()) {
        return object_of(call.procedure_name_ref());
    }
    let callee = ast::CallExpr::cast(node.clone())?.expr()?;
    let parts: Vec<String> = callee.syntax().text().to_string().split('.').map(|part| unquote(part.trim())).collect();
    let (name, before) = parts.split_last()?;
    Some(Object { schema: before.last().cloned(), name: name.clone() })
}

fn unquote(part: &str) -> String {
    match part.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => part.to_lowercase(),
    }
}

/// Reads the bodies of a statement that begins on `line`; `line_at` knows the line of a place in the file.
pub(super) fn of(stmt: &ast::Stmt, line: u32, line_at: &dyn Fn(u32) -> u32) -> Found {
    let mut found = Found::default();
    match stmt {
        ast::Stmt::Do(it) => match it.plpgsql() {
            Some(body) => plpgsql(&body, line_at, &mut found),
            None => found.unread.push((line, OTHER_LANGUAGE)),
        },
        ast::Stmt::CreateFunction(it) => {
            inline(it.body(), line_at, &mut found);
            written(it.plpgsql(), it.sql_body(), line_at, &mut found);
        }
        ast::Stmt::CreateProcedure(it) => {
            inline(it.body(), line_at, &mut found);
            written(it.plpgsql(), it.sql_body(), line_at, &mut found);
        }
        _ => {}
    }
    found
}

fn written(plpgsql_: Option<Plpgsql>, sql: Option<SqlBody>, line_at: &dyn Fn(u32) -> u32, found: &mut Found) {
    if let Some(body) = plpgsql_ {
        plpgsql(&body, line_at, found);
    } else if let Some(body) = sql {
        let root = body.syntax();
        let line_of = |node: &SyntaxNode| line_at(body.source_range(first(node).text_range()).start().into());
        if let Some(error) = body.errors().first() {
            found.unread.push((line_at(error.range().start().into()), UNPARSED));
        }
        for stmt in root.children().filter_map(ast::Stmt::cast) {
            let line = line_of(stmt.syntax());
            found.statements.push((stmt, line));
        }
        let line = line_of(&root);
        found.parts.push((root, line));
    }
}

/// A body in standard SQL is a part of the statement itself.
fn inline(body: Option<ast::RoutineBody>, line_at: &dyn Fn(u32) -> u32, found: &mut Found) {
    let Some(body) = body else { return };
    let node = body.syntax();
    for stmt in outermost(node) {
        let line = line_at(start_of(stmt.syntax()));
        found.statements.push((stmt, line));
    }
    found.parts.push((node.clone(), line_at(start_of(node))));
}

/// Only the outermost statements: what lies inside of one is seen when it is judged.
fn outermost(node: &SyntaxNode) -> Vec<ast::Stmt> {
    node.children()
        .flat_map(|child| match ast::Stmt::cast(child.clone()) {
            Some(stmt) => vec![stmt],
            None => outermost(&child),
        })
        .collect()
}

fn plpgsql(body: &Plpgsql, line_at: &dyn Fn(u32) -> u32, found: &mut Found) {
    // The parser knows no INTO; without it, a text of the same length has all things in their places.
    let blanked = format!("DO $body${}$body$", without_targets(body.text()));
    let stmt = SourceFile::parse(&blanked).tree().stmts().next();
    let read = stmt.and_then(|stmt| if let ast::Stmt::Do(it) = stmt { it.plpgsql() } else { None });
    let read = read.as_ref().filter(|read| read.text().len() == body.text().len()).unwrap_or(body);
    let root = read.syntax();
    let line_of = |node: &SyntaxNode| line_at(body.source_range(first(node).text_range()).start().into());
    if let Some(error) = read.errors().first() {
        let start = u32::from(error.range().start()).saturating_sub("DO $body$".len() as u32);
        found.unread.push((line_at(u32::from(body.source_range(root.text_range()).start()) + start), UNPARSED));
    }
    for stmt in outermost(&root) {
        let line = line_of(stmt.syntax());
        found.statements.push((stmt, line));
    }
    for node in root.descendants().filter(|node| executes(node.kind())) {
        execute(&node, line_of(&node), found);
    }
    let line = line_of(&root);
    found.parts.push((root, line));
}

fn executes(kind: SyntaxKind) -> bool {
    matches!(
        kind,
        SyntaxKind::PLPGSQL_DYN_EXECUTE_STMT
            | SyntaxKind::PLPGSQL_FOR_DYN_STMT
            | SyntaxKind::PLPGSQL_RETURN_QUERY_EXECUTE_STMT
            | SyntaxKind::PLPGSQL_OPEN_EXECUTE
    )
}

/// A string that is executed is read like the file; where it has holes, with stand-ins in them, and that is said.
fn execute(node: &SyntaxNode, line: u32, found: &mut Found) {
    let query = node.children().find_map(ast::PlpgsqlExpr::cast);
    let expr = query.and_then(|query| query.target_list()?.targets().next()?.expr());
    let text = expr.and_then(|expr| text_of(&expr));
    let Some((text, whole)) = text else {
        found.unread.push((line, PUT_TOGETHER));
        return;
    };
    let parse = SourceFile::parse(&text);
    if !whole || !parse.errors().is_empty() {
        found.unread.push((line, PUT_TOGETHER));
    }
    if parse.errors().is_empty() {
        found.statements.extend(parse.tree().stmts().map(|stmt| (stmt, line)));
        found.parts.push((parse.syntax_node(), line));
    }
}

/// The text an expression is, and whether it is all of it.
fn text_of(expr: &ast::Expr) -> Option<(String, bool)> {
    match expr {
        ast::Expr::Literal(it) => Some((it.string_value()?, true)),
        ast::Expr::ParenExpr(it) => text_of(&it.expr()?),
        ast::Expr::CastExpr(it) => text_of(&it.expr()?),
        ast::Expr::CallExpr(it) => {
            let name = callee(it.syntax())?;
            let is_format = name.name == "format" && name.schema.is_none_or(|schema| schema == "pg_catalog");
            let first = it.arg_list().filter(|_| is_format)?.args().next()?;
            let template = first.syntax().children().find_map(ast::FuncArgExpr::cast)?;
            let ast::FuncArgExpr::Expr(template) = template else { return None };
            Some(filled(&text_of(&template)?.0))
        }
        ast::Expr::BinExpr(it) => {
            let mut sides = it.syntax().children().filter_map(ast::Expr::cast);
            let (left, right) = (sides.next()?, sides.next()?);
            let (left, right) = (text_of(&left), text_of(&right));
            if left.is_none() && right.is_none() {
                return None;
            }
            let whole = left.as_ref().is_some_and(|side| side.1) && right.as_ref().is_some_and(|side| side.1);
            let side = |side: Option<(String, bool)>| side.map_or(PLACEHOLDER.to_owned(), |(text, _)| text);
            Some((side(left) + &side(right), whole))
        }
        _ => None,
    }
}

/// A template of format() with stand-ins for its arguments.
fn filled(template: &str) -> (String, bool) {
    let (mut text, mut whole) = (String::new(), true);
    let mut chars = template.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        // A position, a flag and a width may stand between.
        match chars.find(|c| !matches!(c, '0'..='9' | '$' | '-' | '*')) {
            Some('%') => text.push('%'),
            Some('L') => text.push_str(&format!("'{PLACEHOLDER}'")),
            _ => text.push_str(PLACEHOLDER),
        }
        whole &= text.ends_with('%');
    }
    (text, whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(block: &str) -> (Vec<String>, usize) {
        let parse = SourceFile::parse(block);
        let stmt = parse.tree().stmts().next().unwrap();
        let found = of(&stmt, 1, &|_| 1);
        let texts = found.statements.iter().map(|(stmt, _)| stmt.syntax().text().to_string().trim().to_owned());
        (texts.collect(), found.unread.len())
    }

    #[test]
    fn a_string_that_is_executed_is_read() {
        let block = |code: &str| read(&format!("DO $x$ BEGIN {code} END $x$;"));
        for code in [
            "EXECUTE 'DROP TABLE a.b';",
            "EXECUTE 'DROP ' || 'TABLE a.b';",
            "EXECUTE $q$DROP TABLE a.b$q$::text;",
            "EXECUTE ('DROP TABLE ' 'a.b');",
            "EXECUTE format('DROP TABLE a.b');",
        ] {
            let code = if code.contains("' '") { "EXECUTE ('DROP TABLE '\n'a.b');" } else { code };
            assert_eq!(block(code), (vec!["DROP TABLE a.b".to_owned()], 0), "{code}");
        }
        let hole = format!("DROP TABLE a.{PLACEHOLDER}");
        for code in [
            "EXECUTE format('DROP TABLE a.%I', x);",
            "EXECUTE pg_catalog.format('DROP TABLE a.%1$I', x);",
            "EXECUTE 'DROP TABLE a.' || x;",
        ] {
            assert_eq!(block(code), (vec![hole.clone()], 1), "{code}");
        }
        for code in ["EXECUTE x;", "EXECUTE x || y;", "EXECUTE 'DROP ' || x || ' ' || y;", "RETURN QUERY EXECUTE x;"] {
            assert_eq!(block(code).1, 1, "{code}");
        }
        assert_eq!(read("DO LANGUAGE plpython3u $$ import os $$;"), (vec![], 1));
        assert_eq!(read("DO $$ BEGIN nonsense here; END $$;").1, 1);
    }
}
