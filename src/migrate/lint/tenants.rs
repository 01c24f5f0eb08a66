//! Rules that keep tenants apart: their tables are born guarded, and no policy opens them to everybody.

use squawk_syntax::ast::{self, AstNode};

use super::{
    Finding, Subject,
    names::{Object, object_of},
    source::Source,
};

pub(super) fn check(_subject: &Subject<'_>, source: &Source, found: &mut Vec<Finding>) {
    born_guarded(source, found);
    for statement in source.running() {
        let ast::Stmt::CreatePolicy(it) = &statement.stmt else { continue };
        if opens_everything(it) && !it.policy_roles().is_some_and(|roles| only_insiders(&roles)) {
            let message = "a policy that lets others than the workers see or write every tenant's rows";
            let help = "compare tenant_id with (SELECT platform.current_tenant()), or say TO progress_worker";
            found.push(Finding::error("tenant-isolation", statement.line, message, help));
        }
    }
}

fn opens_everything(it: &ast::CreatePolicy) -> bool {
    let is_true = |expr: Option<ast::Expr>| {
        expr.is_some_and(|e| e.syntax().text().to_string().trim().trim_matches(['(', ')']).eq_ignore_ascii_case("true"))
    };
    let restrictive =
        it.as_policy_type().is_some_and(|kind| kind.syntax().text().to_string().to_lowercase().contains("restrictive"));
    let sees = it.using_expr_clause().is_some_and(|clause| is_true(clause.expr()));
    let writes = it.with_check_expr_clause().is_some_and(|clause| is_true(clause.expr()));
    !restrictive && (sees || writes)
}

/// The workers go from tenant to tenant; the owner is who runs functions with rights of their own.
fn only_insiders(roles: &ast::PolicyRoles) -> bool {
    roles.role_ref_list().is_some_and(|list| {
        list.role_refs().all(|role| {
            matches!(
                role.syntax().text().to_string().trim().to_lowercase().as_str(),
                "progress_worker" | "current_user"
            )
        })
    })
}

/// A table with a `tenant_id` is born with row-level security enabled and forced.
fn born_guarded(source: &Source, found: &mut Vec<Finding>) {
    for statement in source.running() {
        let ast::Stmt::CreateTable(table) = &statement.stmt else { continue };
        let Some(object) = object_of(table.table_name()) else { continue };
        let has_tenant = table.table_arg_list().is_some_and(|list| {
            list.args()
                .any(|arg| matches!(arg, ast::TableArg::Column(c) if c.name().is_some_and(|n| n.text() == "tenant_id")))
        });
        if has_tenant && !source.is_temporary(&object) && !is_guarded(source, &object) {
            let message = format!("{object} has a tenant_id but no forced row-level security");
            let help = "add ALTER TABLE … ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY and a policy";
            // What is put together at run time may well do it; the check after the run looks at the database itself.
            found.push(match source.unread.is_empty() {
                true => Finding::error("tenant-isolation", statement.line, message, help),
                false => Finding::note("tenant-isolation", statement.line, message, help),
            });
        }
    }
}

fn is_guarded(source: &Source, object: &Object) -> bool {
    use ast::AlterTableAction as A;
    let actions = || {
        source.running().filter_map(|s| match &s.stmt {
            ast::Stmt::AlterTable(it) if object_of(it.table_relation_name()).as_ref() == Some(object) => Some(it),
            _ => None,
        })
    };
    let any = |wanted: fn(&A) -> bool| actions().any(|it| it.actions().any(|a| wanted(&a)));
    any(|a| matches!(a, A::EnableRls(_)))
        && any(|a| matches!(a, A::ForceRls(_)))
        && !any(|a| matches!(a, A::DisableRls(_) | A::NoForceRls(_)))
}
