//! Rules about settings: they end with the migration, and none takes away what the runner protects others with.

use squawk_syntax::{
    SyntaxNode,
    ast::{self, AstNode},
};

use super::{
    Finding, Subject,
    bodies::callee,
    names::object_of,
    source::{Place, Source, Statement},
};

pub(super) fn check(_subject: &Subject<'_>, source: &Source, found: &mut Vec<Finding>) {
    for statement in &source.statements {
        if statement.runs() {
            lasting(statement, found);
            local(statement, found);
        }
        of_functions(statement, found);
    }
    for part in source.parts.iter().filter(|part| part.place != Place::Body) {
        for call in part.node.descendants().filter(|n| callee(n).is_some_and(|f| f.name == "set_config")) {
            set_config(source.line_in(part, &call), &call, found);
        }
    }
}

/// Settings that a file may change for itself: memory, and how texts are read. Those with a dot are the service's own.
const FREE: [&str; 17] = [
    "bytea_output",
    "check_function_bodies",
    "client_min_messages",
    "constraint_exclusion",
    "datestyle",
    "default_toast_compression",
    "extra_float_digits",
    "intervalstyle",
    "jit",
    "maintenance_work_mem",
    "max_parallel_maintenance_workers",
    "search_path",
    "timezone",
    "time zone",
    "work_mem",
    "xmlbinary",
    "xmloption",
];

fn is_free(name: &str) -> bool {
    FREE.contains(&name) || name.contains('.') || name.starts_with("enable_")
}

fn outlives(line: u32, message: &str, help: &str) -> Finding {
    Finding::error("session-setting", line, message, help)
}

/// What stays behind in the session when the file is done.
fn lasting(statement: &Statement, found: &mut Vec<Finding>) {
    use ast::Stmt as S;
    let is_local = |scope: Option<ast::SetScope>| matches!(scope, Some(ast::SetScope::LocalScope(_)));
    let setting = match &statement.stmt {
        S::Set(it) => !is_local(it.set_scope()),
        S::SetRole(it) => !is_local(it.set_scope()),
        S::SetSessionAuth(it) => !is_local(it.set_scope()),
        S::Reset(_) | S::ResetRole(_) | S::ResetSessionAuth(_) | S::Discard(_) => true,
        _ => false,
    };
    if setting {
        let help = "write SET LOCAL, which ends with the migration";
        found.push(outlives(statement.line, "a setting that outlives the migration", help));
    }
    let leaves = match &statement.stmt {
        S::Prepare(_) | S::Execute(_) | S::Deallocate(_) | S::Listen(_) | S::Unlisten(_) => true,
        S::CreateTable(it) => is_temp(it.persistence()) && !is_dropped(it.on_commit()),
        S::CreateTableAs(it) => is_temp(it.persistence()) && !is_dropped(it.on_commit()),
        S::CreateView(it) => is_temp(it.persistence()),
        S::CreateSequence(it) => is_temp(it.persistence()),
        S::Declare(it) => it.cursor_hold().is_some(),
        _ => false,
    };
    if leaves {
        let help = "do without; a temporary table says ON COMMIT DROP";
        found.push(outlives(statement.line, "something of the session that outlives the migration", help));
    }
}

fn is_temp(persistence: Option<ast::Persistence>) -> bool {
    matches!(persistence, Some(ast::Persistence::Temp(_)))
}

fn is_dropped(on_commit: Option<ast::OnCommit>) -> bool {
    on_commit.is_some_and(|it| matches!(it.on_commit_action(), Some(ast::OnCommitAction::Drop(_))))
}

fn protected(line: u32, name: &str) -> Finding {
    let message = format!("changes {name}, which is not the file's to change");
    let help = "the runner sets limits and rights so that nobody waits for long, and no guard is passed by";
    Finding::error("protected-setting", line, message, help)
}

/// `SET LOCAL`, also of a role: the history would be written by somebody else.
fn local(statement: &Statement, found: &mut Vec<Finding>) {
    use ast::Stmt as S;
    let name = match &statement.stmt {
        S::Set(it) => match it.set_target() {
            Some(ast::SetTarget::SetConfig(config)) => object_of(config.config_parameter_ref()).map(|o| o.to_string()),
            _ => None,
        },
        S::SetRole(it) if it.set_scope().is_some() => Some("role".to_owned()),
        S::SetSessionAuth(it) if it.set_scope().is_some() => Some("session_authorization".to_owned()),
        _ => None,
    };
    if let Some(name) = name.filter(|name| !is_free(&name.to_lowercase())) {
        found.push(protected(statement.line, &name));
    }
}

fn set_config(line: u32, call: &SyntaxNode, found: &mut Vec<Finding>) {
    let args: Vec<String> = ast::CallExpr::cast(call.clone())
        .and_then(|call| call.arg_list())
        .map(|list| list.args().map(|arg| arg.syntax().text().to_string().trim().to_lowercase()).collect())
        .unwrap_or_default();
    if args.get(2).is_none_or(|local| local != "true") {
        let help = "pass true as set_config's third argument";
        found.push(outlives(line, "a setting that outlives the migration", help));
    }
    let name = args.first().map_or("", String::as_str).trim_matches('\'');
    if !is_free(name) {
        found.push(protected(line, name));
    }
}

/// A function carries its settings wherever it is called.
fn of_functions(statement: &Statement, found: &mut Vec<Finding>) {
    let params = statement.stmt.syntax().descendants().filter_map(ast::SetFuncOption::cast);
    for param in params.filter_map(|it| it.set_config_param()) {
        let Some(name) = object_of(param.config_parameter_ref()).map(|o| o.to_string().to_lowercase()) else {
            continue;
        };
        let value = param.config_assignment().map(|it| it.syntax().text().to_string()).unwrap_or_default();
        // A limit of its own may be smaller than the caller's, never none.
        let is_limit = name.ends_with("_timeout");
        let none = value.trim_start_matches(|c: char| c == '=' || c.is_whitespace() || c.is_alphabetic()).trim();
        let none =
            none.trim_matches('\'').trim_start_matches('0').is_empty() || value.to_lowercase().contains("default");
        if if is_limit { none } else { !is_free(&name) } {
            found.push(protected(statement.line, &name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    #[test]
    fn settings_end_with_the_migration() {
        for bad in ["SET search_path = a;", "SET SESSION ROLE x;", "RESET ALL;", "DISCARD ALL;"] {
            assert!(rules_of(&file(DATA, bad)).contains(&"session-setting".to_owned()), "{bad}");
        }
        tells_apart(
            DATA,
            "session-setting",
            "SELECT set_config('app.tenant_id', '', false);",
            "SELECT set_config('app.tenant_id', '', true);",
        );
        tells_apart(
            DATA,
            "session-setting",
            "CREATE TEMP TABLE scratch (a int);",
            "CREATE TEMP TABLE scratch (a int) ON COMMIT DROP; SET LOCAL work_mem = '64MB';",
        );
    }

    #[test]
    fn the_runners_protection_stays() {
        for name in
            ["lock_timeout", "statement_timeout", "row_security", "session_replication_role", "zero_damaged_pages"]
        {
            assert_eq!(rules_of(&file(DATA, &format!("SET LOCAL {name} = 0;"))), ["protected-setting"], "{name}");
            let call = format!("SELECT pg_catalog.set_config('{name}', '0', true);");
            assert_eq!(rules_of(&file(DATA, &call)), ["protected-setting"], "{name}");
        }
        let function = |set: &str| format!("CREATE FUNCTION progress.f() RETURNS int SET {set} LANGUAGE sql RETURN 1;");
        tells_apart(STARTUP, "protected-setting", &function("lock_timeout = 0"), &function("lock_timeout = '2s'"));
        tells_apart(STARTUP, "protected-setting", &function("row_security TO off"), &function("timezone TO 'UTC'"));
    }
}
