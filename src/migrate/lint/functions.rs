//! Rules about functions: each says where its names are looked up, and what runs with its owner's rights is not everybody's.

use squawk_syntax::ast::{self, AstNode};

use super::{
    Finding, Subject,
    names::{Object, object_in, object_of},
    source::{Source, Statement},
};

pub(super) fn check(_subject: &Subject<'_>, source: &Source, found: &mut Vec<Finding>) {
    for statement in &source.statements {
        let Some(routine) = Routine::of(&statement.stmt) else { continue };
        search_path(&routine, statement, source, found);
        if routine.is_definer() && !is_revoked(&routine.name, statement, source) {
            let message = format!("{} runs with its owner's rights, and everybody may call it", routine.name);
            let help = "REVOKE ALL ON FUNCTION … FROM PUBLIC after it, in this file; then grant it to whom it is for";
            found.push(Finding::error("definer-revoked", statement.line, message, help));
        }
    }
}

/// A routine that is created or altered, with what is said about it.
struct Routine {
    name: Object,
    options: Vec<ast::FuncOption>,
    created: bool,
    /// Its body is standard SQL, whose names are looked up once, when it is created.
    standard: bool,
}

impl Routine {
    fn of(stmt: &ast::Stmt) -> Option<Self> {
        let options = |list: Option<ast::FuncOptionList>| list.into_iter().flat_map(|list| list.options()).collect();
        let altered = |action, name| match action {
            Some(ast::AlterFunctionAction::FuncOptionList(list)) => {
                Some(Self { name, options: options(Some(list)), created: false, standard: false })
            }
            _ => None,
        };
        match stmt {
            ast::Stmt::CreateFunction(it) => Some(Self {
                name: object_of(it.name())?,
                options: options(it.option_list()),
                created: true,
                standard: it.body().is_some(),
            }),
            ast::Stmt::CreateProcedure(it) => Some(Self {
                name: object_of(it.name())?,
                options: options(it.option_list()),
                created: true,
                standard: it.body().is_some(),
            }),
            ast::Stmt::AlterFunction(it) => altered(it.action(), object_of(it.function_sig())?),
            ast::Stmt::AlterProcedure(it) => {
                let list = it.syntax().descendants().find_map(ast::FuncOptionList::cast)?;
                altered(Some(ast::AlterFunctionAction::FuncOptionList(list)), object_in(it.syntax())?)
            }
            ast::Stmt::AlterRoutine(it) => {
                let list = it.syntax().descendants().find_map(ast::FuncOptionList::cast)?;
                altered(Some(ast::AlterFunctionAction::FuncOptionList(list)), object_in(it.syntax())?)
            }
            _ => None,
        }
    }

    fn is_definer(&self) -> bool {
        self.options.iter().any(|option| matches!(option, ast::FuncOption::SecurityDefinerFuncOption(_)))
    }

    /// The search path it sets, if it says anything about one.
    fn search_path(&self) -> Option<Vec<String>> {
        self.options.iter().find_map(|option| match option {
            ast::FuncOption::SetFuncOption(it) => {
                let param = it.set_config_param()?;
                let name = object_of(param.config_parameter_ref())?;
                (name.name == "search_path").then(|| listed(&param))
            }
            ast::FuncOption::ResetFuncOption(it) => {
                let name = object_of(it.config_parameter_ref());
                name.is_none_or(|name| name.name == "search_path").then(Vec::new)
            }
            _ => None,
        })
    }
}

fn listed(param: &ast::SetConfigParam) -> Vec<String> {
    let Some(ast::ConfigAssignment::ToConfigValue(values)) = param.config_assignment() else { return Vec::new() };
    let text = |value: ast::ConfigValue| match &value {
        ast::ConfigValue::Literal(it) => it.string_value().unwrap_or_default(),
        other => other.syntax().text().to_string().trim().trim_matches('"').to_lowercase(),
    };
    values.config_values().map(text).collect()
}

/// `pg_temp` stands last, or a temporary object would be found before the one that is meant; nothing in which others
/// may create stands in it.
fn is_safe(path: &[String]) -> bool {
    let open = |schema: &String| matches!(schema.as_str(), "public" | "$user" | "pg_temp" | "");
    path.split_last().is_some_and(|(last, before)| {
        let system_first = before.iter().position(|schema| schema == "pg_catalog").is_none_or(|at| at == 0);
        last == "pg_temp" && !before.is_empty() && !before.iter().any(open) && system_first
    })
}

fn search_path(routine: &Routine, statement: &Statement, source: &Source, found: &mut Vec<Finding>) {
    let said = routine.search_path();
    let safe = match &said {
        Some(path) => is_safe(path),
        None if !routine.created => true,
        None => routine.standard || is_set_later(routine, statement, source),
    };
    if !safe {
        let message = format!("{} does not look its names up in a safe place", routine.name);
        let help = "SET search_path = pg_catalog, pg_temp, and name other schemas in full";
        found.push(Finding::error("function-search-path", statement.line, message, help));
    }
}

fn is_set_later(routine: &Routine, statement: &Statement, source: &Source) -> bool {
    source.statements.iter().filter(|later| later.at > statement.at).any(|later| {
        Routine::of(&later.stmt).is_some_and(|it| {
            !it.created && it.name == routine.name && it.search_path().is_some_and(|path| is_safe(&path))
        })
    })
}

fn is_revoked(name: &Object, statement: &Statement, source: &Source) -> bool {
    let after = source.outer().filter(|later| later.at > statement.at);
    after
        .filter_map(|later| match &later.stmt {
            ast::Stmt::Revoke(it) => Some(it.clone()),
            _ => None,
        })
        .any(|it| {
            let from_all = it.role_ref_list().is_some_and(|list| {
                list.role_refs().any(|role| role.syntax().text().to_string().trim().eq_ignore_ascii_case("public"))
            });
            let rights = it.privileges().map(|p| p.syntax().text().to_string().to_lowercase()).unwrap_or_default();
            let on = it.on_privilege_objects_clause().map(|clause| clause.syntax().clone());
            let names_it = on.is_some_and(|clause| {
                let routines = clause.descendants().filter(super::names::names_object);
                let all = clause.text().to_string().to_lowercase();
                let in_schema = all.contains("all functions in schema") || all.contains("all routines in schema");
                (in_schema && name.schema.as_ref().is_some_and(|schema| all.contains(schema.as_str())))
                    || routines.filter_map(|n| object_in(&n)).any(|object| object == *name)
            });
            from_all && (rights.contains("all") || rights.contains("execute")) && names_it
        })
}
