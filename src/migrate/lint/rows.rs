//! Rules about rows: no statement works through a whole table that others use, and sequences keep their place.

use squawk_syntax::{
    SyntaxElement, SyntaxKind, SyntaxNode,
    ast::{self, AstNode},
};

use super::{
    Finding, Script, Subject,
    names::{Object, object_in, object_of},
    source::{Source, Statement},
};

pub(super) fn check(subject: &Subject<'_>, source: &Source, found: &mut Vec<Finding>) {
    for statement in source.running() {
        whole_table(statement, source, found);
        sequences(statement, source, found);
        if subject.script != Script::Down {
            unbounded(statement, source, found);
        }
    }
    enum_values(source, found);
}

/// An UPDATE or DELETE that names no rows, whatever the category.
fn whole_table(statement: &Statement, source: &Source, found: &mut Vec<Finding>) {
    if is_stored(&statement.stmt) {
        return;
    }
    for node in statement.stmt.syntax().descendants() {
        let (table, filter) = if let Some(it) = ast::Update::cast(node.clone()) {
            (object_of(it.relation_name()), it.where_clause_or_current_of())
        } else if let Some(it) = ast::Delete::cast(node) {
            (object_of(it.relation_name()), it.where_clause_or_current_of())
        } else {
            continue;
        };
        let Some(table) = source.existing(table, statement.at) else { continue };
        let chosen = filter.is_some_and(|filter| match filter {
            ast::WhereClauseOrCurrentOf::WhereClause(it) => it.expr().is_some_and(|expr| !is_always_true(&expr)),
            ast::WhereClauseOrCurrentOf::WhereCurrentOf(_) => true,
        });
        if !chosen {
            let message = format!("works through all rows of {table} in one statement");
            let help = "say which rows, a batch at a time: WHERE key IN (SELECT … LIMIT n)";
            found.push(Finding::error("whole-table", statement.line, message, help));
        }
    }
}

/// A condition that chooses nothing: it names no column, compares something with itself, or has such an OR.
fn is_always_true(expr: &ast::Expr) -> bool {
    match expr {
        ast::Expr::ParenExpr(it) => match it.expr() {
            Some(inner) => is_always_true(&inner),
            None => false,
        },
        ast::Expr::BinExpr(it) => {
            let sides: Vec<ast::Expr> = it.syntax().children().filter_map(ast::Expr::cast).collect();
            let [left, right] = sides.as_slice() else { return false };
            let text = |side: &ast::Expr| side.syntax().text().to_string().trim().to_lowercase();
            let op = it.syntax().children().find(|n| n.kind() == SyntaxKind::OP).map(|n| n.text().to_string());
            let op = op.unwrap_or_else(|| operator_between(it.syntax())).to_lowercase();
            match op.trim() {
                "or" => is_always_true(left) || is_always_true(right),
                "and" => is_always_true(left) && is_always_true(right),
                "=" | ">=" | "<=" => text(left) == text(right),
                _ => names_no_column(expr.syntax()),
            }
        }
        other => names_no_column(other.syntax()),
    }
}

fn operator_between(node: &SyntaxNode) -> String {
    let tokens = node.children_with_tokens().filter_map(SyntaxElement::into_token);
    tokens.filter(|token| !token.kind().is_trivia()).map(|token| token.text().to_owned()).collect()
}

fn names_no_column(node: &SyntaxNode) -> bool {
    !node.descendants().any(|n| n.kind() == SyntaxKind::NAME_REF)
}

/// Statements that only keep their query for later.
fn is_stored(stmt: &ast::Stmt) -> bool {
    use ast::Stmt::{CreateFunction, CreatePolicy, CreateProcedure, CreateRule, CreateTrigger, CreateView, Prepare};
    matches!(
        stmt,
        CreateFunction(_)
            | CreateProcedure(_)
            | CreateView(_)
            | CreateRule(_)
            | CreatePolicy(_)
            | CreateTrigger(_)
            | Prepare(_)
    )
}

/// Rows that come from all of a table, without a condition or a limit.
fn unbounded(statement: &Statement, source: &Source, found: &mut Vec<Finding>) {
    let with_data = |option: Option<ast::DataOption>| !matches!(option, Some(ast::DataOption::WithNoData(_)));
    let copies = match &statement.stmt {
        ast::Stmt::CreateTableAs(it) => with_data(it.data_option()),
        ast::Stmt::CreateMaterializedView(it) => with_data(it.data_option()),
        ast::Stmt::SelectInto(_) | ast::Stmt::Merge(_) | ast::Stmt::Insert(_) => true,
        stmt => !is_stored(stmt) && stmt.syntax().descendants().any(|node| ast::Insert::can_cast(node.kind())),
    };
    if !copies {
        return;
    }
    let whole = statement.stmt.syntax().descendants().find_map(|node| all_of(&node, statement, source));
    if let Some(table) = whole {
        let message = format!("takes all rows of {table} in one statement");
        let help = "say which rows, a batch at a time: WHERE … or LIMIT n";
        found.push(Finding::error("unbounded-rows", statement.line, message, help));
    }
}

/// The table that a query takes whole. What stands in a condition or an output column is looked up, not taken.
fn all_of(node: &SyntaxNode, statement: &Statement, source: &Source) -> Option<Object> {
    let looked_up = |n: &SyntaxNode| {
        matches!(
            n.kind(),
            SyntaxKind::WHERE_CLAUSE | SyntaxKind::TARGET_LIST | SyntaxKind::EXISTS_FN | SyntaxKind::ON_CLAUSE
        )
    };
    let taken = |from: Option<ast::FromClause>| {
        let items = from?.syntax().clone();
        let inner = |n: &SyntaxNode| {
            n.ancestors()
                .take_while(|a| *a != items)
                .any(|a| matches!(a.kind(), SyntaxKind::SELECT | SyntaxKind::COMPOUND_SELECT | SyntaxKind::ON_CLAUSE))
        };
        let relations = items.descendants().filter_map(ast::RelationFromItem::cast);
        relations
            .filter(|it| !inner(it.syntax()))
            .find_map(|it| table(object_of(it.relation_name_ref()), statement, source))
    };
    let whole = if let Some(it) = ast::Select::cast(node.clone()) {
        let bounded = it.where_clause().is_some_and(|w| w.expr().is_some_and(|e| !is_always_true(&e)))
            || it.tail_clauses().any(|tail| {
                matches!(tail, ast::SelectTailClause::LimitClause(_) | ast::SelectTailClause::FetchClause(_))
            });
        (!bounded).then(|| taken(it.from_clause())).flatten()
    } else if let Some(it) = ast::SelectInto::cast(node.clone()) {
        it.where_clause().is_none().then(|| taken(it.from_clause())).flatten()
    } else if let Some(it) = ast::Table::cast(node.clone()) {
        table(object_of(it.relation_name()), statement, source)
    } else if let Some(it) = ast::UsingOnClause::cast(node.clone()) {
        let from = it.from_list_item()?.syntax().clone();
        let relation =
            ast::RelationFromItem::cast(from.clone()).or_else(|| from.children().find_map(ast::RelationFromItem::cast));
        relation.and_then(|it| table(object_of(it.relation_name_ref()), statement, source))
    } else {
        None
    };
    whole.filter(|_| !node.ancestors().skip(1).any(|outer| looked_up(&outer)))
}

/// A table that was there before, and is neither the system's own nor a name local to the query.
fn table(object: Option<Object>, statement: &Statement, source: &Source) -> Option<Object> {
    let object = source.existing(object, statement.at)?;
    let local = || {
        let names = statement.stmt.syntax().descendants().filter(|n| n.kind() == SyntaxKind::CTE_NAME);
        names.map(|n| ast::normalize_name_node(&n)).any(|name| name == object.name)
    };
    let is_apart = object.is_system() || object.schema.is_none() && local();
    (!is_apart).then_some(object)
}

/// Whether a statement reads rows of, or changes rows in, a table that was there before.
pub(super) fn reads_or_changes(node: &SyntaxNode, source: &Source, at: usize) -> bool {
    let works = |n: SyntaxNode| {
        let object = if let Some(it) = ast::Update::cast(n.clone()) {
            object_of(it.relation_name())
        } else if let Some(it) = ast::Delete::cast(n.clone()) {
            object_of(it.relation_name())
        } else if let Some(it) = ast::Merge::cast(n.clone()) {
            object_of(it.table_relation_name())
        } else {
            ast::RelationFromItem::cast(n).and_then(|it| object_of(it.relation_name_ref()))
        };
        source.existing(object, at).is_some_and(|object| object.schema.is_some() && !object.is_system())
    };
    let stmt = ast::Stmt::cast(node.clone());
    !stmt.is_some_and(|stmt| is_stored(&stmt) || matches!(stmt, ast::Stmt::Do(_))) && node.descendants().any(works)
}

/// A sequence that goes back gives numbers twice.
fn sequences(statement: &Statement, source: &Source, found: &mut Vec<Finding>) {
    let node = statement.stmt.syntax();
    let restarts = |n: &SyntaxNode| matches!(n.kind(), SyntaxKind::OPTION_RESTART | SyntaxKind::RESTART);
    let altered = match &statement.stmt {
        ast::Stmt::AlterSequence(_) | ast::Stmt::AlterTable(_) => {
            source.existing(object_in(node), statement.at).is_some() && node.descendants().any(|n| restarts(&n))
        }
        _ => false,
    };
    if altered {
        let help = "a sequence only goes on by itself; START WITH when it is created";
        found.push(Finding::error("sequence-value", statement.line, "sets the place of a sequence", help));
    }
}

/// A value added to an enum cannot be used before the transaction that added it is over.
fn enum_values(source: &Source, found: &mut Vec<Finding>) {
    for adding in source.running() {
        let ast::Stmt::AlterType(it) = &adding.stmt else { continue };
        let Some(ast::AlterTypeAction::AddValue(value)) = it.action() else { continue };
        let Some(value) = value.literal().and_then(|literal| literal.string_value()) else { continue };
        let uses = |other: &&Statement| {
            let mut literals = other.stmt.syntax().descendants().filter_map(ast::Literal::cast);
            other.at != adding.at && literals.any(|it| it.string_value().as_ref() == Some(&value))
        };
        if let Some(user) = source.statements.iter().find(uses) {
            let message = format!("uses {value:?} in the transaction that adds it to its type");
            found.push(Finding::error("enum-use", user.line, message, "add the value in a file of its own"));
        }
    }
}
