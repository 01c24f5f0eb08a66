//! Rules about what is not the module's own: other modules, the history, partitions, roles, the server, the world.

use squawk_syntax::{
    SyntaxKind, SyntaxNode,
    ast::{self, AstNode, normalize_name_node},
};

use super::{
    super::modules::INTERNAL,
    Finding, Script, Subject,
    bodies::callee,
    names::{Object, names_object, object_in, object_of},
    source::{Source, Statement},
};

pub(super) fn check(subject: &Subject<'_>, source: &Source, found: &mut Vec<Finding>) {
    for statement in &source.statements {
        if let Some((rule, what, help)) = out_of_bounds(&statement.stmt) {
            found.push(Finding::error(rule, statement.line, what, help));
        }
        names(subject, statement, source, found);
        modules(subject, statement, source, found);
        if subject.script != Script::Down {
            rights_of_all(statement, found);
        }
    }
}

const OUTSIDE: (&str, &str, &str) = (
    "outside-world",
    "reaches out of the database's own tables, or into code of the server",
    "leave it to an operator, or say in the head why this file needs it",
);
const ROLES: (&str, &str, &str) = (
    "roles",
    "changes roles, owners or default rights, which the whole server or every later object feels",
    "leave roles to an operator; grant on each object",
);
const SERVER: (&str, &str, &str) =
    ("server-wide", "changes more than the module's own schema", "leave it to an operator");
const RULES: (&str, &str, &str) = ("no-rules", "a rewrite rule changes what others' statements mean", "use a trigger");
const SCHEMAS: (&str, &str, &str) =
    ("other-module", "makes, changes or drops a schema", "the runner makes the module's one schema");

/// Kinds of statements that are no migration's business.
fn out_of_bounds(stmt: &ast::Stmt) -> Option<(&'static str, &'static str, &'static str)> {
    use ast::Stmt as S;
    match stmt {
        S::Copy(_) | S::Load(_) | S::ImportForeignSchema(_) | S::Notify(_) => Some(OUTSIDE),
        S::CreateExtension(_) | S::AlterExtension(_) | S::DropExtension(_) => Some(OUTSIDE),
        S::CreateForeignDataWrapper(_) | S::AlterForeignDataWrapper(_) | S::DropForeignDataWrapper(_) => Some(OUTSIDE),
        S::CreateServer(_) | S::AlterServer(_) | S::DropServer(_) => Some(OUTSIDE),
        S::CreateUserMapping(_) | S::AlterUserMapping(_) | S::DropUserMapping(_) => Some(OUTSIDE),
        S::CreateForeignTable(_) => Some(OUTSIDE),
        S::CreateSubscription(_) | S::AlterSubscription(_) | S::DropSubscription(_) => Some(OUTSIDE),
        S::CreatePublication(_) | S::AlterPublication(_) | S::DropPublication(_) => Some(OUTSIDE),
        S::CreateLanguage(_) | S::AlterLanguage(_) | S::DropLanguage(_) | S::CreateTransform(_) => Some(OUTSIDE),
        S::CreateAccessMethod(_) | S::DropAccessMethod(_) => Some(OUTSIDE),
        S::CreateFunction(it) if !is_readable(it.option_list(), it.body().is_some()) => Some(OUTSIDE),
        S::CreateProcedure(it) if !is_readable(it.option_list(), it.body().is_some()) => Some(OUTSIDE),
        S::CreateRole(_) | S::AlterRole(_) | S::DropRole(_) => Some(ROLES),
        S::CreateUser(_) | S::AlterUser(_) | S::DropUser(_) => Some(ROLES),
        S::CreateGroup(_) | S::AlterGroup(_) | S::DropGroup(_) => Some(ROLES),
        S::DropOwned(_) | S::Reassign(_) | S::AlterDefaultPrivileges(_) => Some(ROLES),
        S::Grant(it) if it.on_privilege_objects_clause().is_none() => Some(ROLES),
        S::Revoke(it) if it.on_privilege_objects_clause().is_none() => Some(ROLES),
        S::AlterSystem(_) | S::Checkpoint(_) | S::SecurityLabel(_) => Some(SERVER),
        S::CreateDatabase(_) | S::AlterDatabase(_) | S::DropDatabase(_) => Some(SERVER),
        S::CreateTablespace(_) | S::AlterTablespace(_) | S::DropTablespace(_) => Some(SERVER),
        S::CreateEventTrigger(_) | S::AlterEventTrigger(_) | S::DropEventTrigger(_) => Some(SERVER),
        S::CreateCast(_) | S::DropCast(_) | S::AlterLargeObject(_) => Some(SERVER),
        S::CreateRule(_) | S::AlterRule(_) | S::DropRule(_) => Some(RULES),
        S::CreateSchema(_) | S::AlterSchema(_) | S::DropSchema(_) => Some(SCHEMAS),
        stmt => stmt.syntax().children().any(|n| n.kind() == SyntaxKind::OWNER_TO).then_some(ROLES),
    }
}

/// Whether a routine is written in a language that the rules read.
fn is_readable(options: Option<ast::FuncOptionList>, standard: bool) -> bool {
    let mut languages = options.into_iter().flat_map(|list| list.options()).filter_map(|option| match option {
        ast::FuncOption::LanguageFuncOption(it) => it.language_name().map(|language| language.name),
        _ => None,
    });
    languages.next().map_or(standard, |name| matches!(name.as_str(), "sql" | "plpgsql"))
}

/// Names that no file may use: the runner's own tables, and months of the ledger, which differ between databases.
fn names(subject: &Subject<'_>, statement: &Statement, source: &Source, found: &mut Vec<Finding>) {
    const HISTORY: [&str; 6] = [
        "schema_migrations",
        "schema_migration_attempts",
        "schema_migration_baselines",
        "schema_migrations_legacy",
        "refinery_schema_history",
        "schema_migration_overrides",
    ];
    for node in statement.stmt.syntax().descendants().filter(names_object) {
        let Some(object) = object_in(&node) else { continue };
        if HISTORY.contains(&object.name.as_str()) {
            let message = format!("names {object}, which only the runner writes");
            found.push(Finding::error("history", statement.line, message, "leave the history to the runner"));
        }
        let ours = object.schema.as_deref().unwrap_or(subject.module) == "ledger";
        if ours && is_month(&object.name) {
            let message = format!("names the month {object}, which is not in every database");
            let help = "name the partitioned table; the service makes, attaches and detaches its months";
            found.push(Finding::error("partition-by-name", statement.line, message, help));
        }
    }
    if let Some(message) = changes_partitions(statement, source) {
        let help = "the service makes and attaches months itself; say in the head why a file must";
        found.push(Finding::error("partition-change", statement.line, message, help));
    }
}

/// `statements_2026_11` and the like.
fn is_month(name: &str) -> bool {
    let rest = ["statements_", "relations_"].iter().find_map(|parent| name.strip_prefix(parent));
    rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn changes_partitions(statement: &Statement, source: &Source) -> Option<&'static str> {
    use ast::AlterTableAction as A;
    let there = |table: Option<Object>| source.existing(table, statement.at).is_some();
    match &statement.stmt {
        ast::Stmt::CreateTable(it) => {
            let born = there(it.partition_of().and_then(|parent| object_of(parent.table_name_ref())));
            let heir =
                it.inherits().is_some_and(|list| list.table_name_refs().any(|name| there(object_of(Some(name)))));
            born.then_some("is born a partition, for which all readers and writers of the table wait")
                .or(heir.then_some("inherits from a table that was there before"))
        }
        ast::Stmt::AlterTable(it) if there(object_of(it.table_relation_name())) => {
            it.actions().find_map(|action| match action {
                A::AttachPartition(_) => Some("attaches a partition"),
                A::DetachPartition(_) => Some("detaches a partition"),
                A::MergePartitions(_) | A::SplitPartition(_) => Some("merges or splits partitions"),
                A::InheritTable(_) | A::NoInheritTable(_) => Some("changes what a table inherits"),
                _ => None,
            })
        }
        _ => None,
    }
}

/// Whether a module may read tables and call functions of a schema: its own, and the product's that come before it.
pub(super) fn may_use(module: &str, schema: &str) -> bool {
    let place = |name: &str| INTERNAL.iter().position(|known| *known == name);
    match (place(module), place(schema)) {
        _ if module == schema => true,
        (Some(mine), Some(theirs)) => theirs < mine,
        (None, Some(_)) => true,
        (_, None) => false,
    }
}

/// What nobody but `platform` reads: credentials and keys.
const SECRET: [&str; 2] = ["credentials", "signing_keys"];

fn modules(subject: &Subject<'_>, statement: &Statement, source: &Source, found: &mut Vec<Finding>) {
    let mut seen = Vec::new();
    for object in changed(&statement.stmt) {
        let Some(schema) = foreign_schema(&object, subject, source) else { continue };
        if statement.stmt.syntax().kind() == SyntaxKind::SET {
            continue;
        }
        seen.push((format!("changes {object}, which is {}", owner(&schema)), object));
    }
    for object in used(statement.stmt.syntax()) {
        let Some(schema) = foreign_schema(&object, subject, source) else { continue };
        let secret = schema == "platform" && SECRET.contains(&object.name.as_str());
        if (!may_use(subject.module, &schema) && !object.is_system()) || secret {
            seen.push((format!("uses {object}, which is {}", owner(&schema)), object));
        }
    }
    for (_, function) in called(statement, subject, source) {
        seen.push((format!("calls {function}, which is another module's and changes something"), function));
    }
    let mut told: Vec<&Object> = Vec::new();
    for (message, object) in &seen {
        if !told.contains(&object) {
            told.push(object);
            let help = "a module changes its own schema alone";
            found.push(Finding::error("other-module", statement.line, message.clone(), help));
        }
    }
}

fn owner(schema: &str) -> &'static str {
    match schema {
        "public" => "nobody's module",
        schema if schema.starts_with("pg_") || schema == "information_schema" => "the system's own",
        _ => "another module's",
    }
}

/// The schema of an object that is not the module's own.
fn foreign_schema(object: &Object, subject: &Subject<'_>, source: &Source) -> Option<String> {
    if object.is_placeholder() || source.is_temporary(object) || object.schema.as_deref() == Some("pg_temp") {
        return None;
    }
    let schema = match &object.schema {
        Some(schema) => schema.clone(),
        None if object.name.starts_with("pg_") => "pg_catalog".to_owned(),
        None => return None,
    };
    (schema != subject.module).then_some(schema)
}

/// What a statement makes, changes or drops.
fn changed(stmt: &ast::Stmt) -> Vec<Object> {
    use ast::Stmt as S;
    let node = stmt.syntax();
    let list = |object: Option<Object>| object.into_iter().collect::<Vec<_>>();
    let mut found = match stmt {
        S::CreateIndex(it) => list(object_of(it.table_relation_name())),
        S::CreateTrigger(it) => list(object_of(it.on_relation())),
        S::AlterTrigger(it) => list(object_of(it.on_relation())),
        S::DropTrigger(it) => list(object_of(it.on_relation())),
        S::CreatePolicy(it) => list(object_of(it.on_table())),
        S::AlterPolicy(it) => list(object_of(it.on_table())),
        S::DropPolicy(it) => list(object_of(it.on_table())),
        S::CreateStatistics(it) => list(object_of(it.from_table())),
        S::CreateDomain(it) => list(object_of(it.domain())),
        S::Grant(_) | S::Revoke(_) => granted(node),
        S::Truncate(_) | S::Lock(_) | S::Vacuum(_) | S::Analyze(_) | S::CommentOn(_) => all_named(node),
        S::Reindex(_) | S::Cluster(_) | S::Refresh(_) => all_named(node),
        S::Do(_) | S::Set(_) => Vec::new(),
        _ => match words(node).first().map(String::as_str) {
            Some("drop") => all_named(node),
            Some("create" | "alter") => list(object_in(node)),
            _ => Vec::new(),
        },
    };
    if !matches!(stmt, S::CreateFunction(_) | S::CreateProcedure(_)) {
        found.extend(node.descendants().filter_map(written));
    }
    found
}

/// The table whose rows a node writes.
fn written(node: SyntaxNode) -> Option<Object> {
    if let Some(it) = ast::Insert::cast(node.clone()) {
        object_of(it.relation_name_ref())
    } else if let Some(it) = ast::Update::cast(node.clone()) {
        object_of(it.relation_name())
    } else if let Some(it) = ast::Delete::cast(node.clone()) {
        object_of(it.relation_name())
    } else {
        ast::Merge::cast(node).and_then(|it| object_of(it.table_relation_name()))
    }
}

fn granted(node: &SyntaxNode) -> Vec<Object> {
    let clause = node.descendants().find(|n| n.kind() == SyntaxKind::ON_PRIVILEGE_OBJECTS_CLAUSE);
    let mut found = clause.as_ref().map(all_named).unwrap_or_default();
    // GRANT … ON SCHEMA, or on all of a schema: as an object of that schema without a name of its own.
    let schemas = clause.into_iter().flat_map(|c| c.descendants().collect::<Vec<_>>());
    let schemas = schemas.filter(|n| n.kind() == SyntaxKind::SCHEMA_REF);
    found.extend(schemas.map(|n| Object { schema: Some(normalize_name_node(&n)), name: "*".to_owned() }));
    found
}

fn all_named(node: &SyntaxNode) -> Vec<Object> {
    node.descendants().filter(names_object).filter_map(|n| object_in(&n)).collect()
}

/// Tables that are read, and those a foreign key refers to.
fn used(node: &SyntaxNode) -> Vec<Object> {
    node.descendants()
        .filter_map(|n| {
            if let Some(it) = ast::ForeignKeyConstraint::cast(n.clone()) {
                object_of(it.table_name_ref())
            } else if let Some(it) = ast::ReferencesConstraint::cast(n.clone()) {
                object_of(it.table())
            } else {
                ast::RelationFromItem::cast(n).and_then(|it| object_of(it.relation_name_ref()))
            }
        })
        .collect()
}

/// Functions that anybody may call without asking; the rest change something or answer secrets.
pub(super) fn is_open(function: &Object) -> bool {
    const OPEN: [(&str, &str); 3] =
        [("platform", "current_tenant"), ("platform", "refuse_change"), ("ledger", "moment")];
    OPEN.iter().any(|(schema, name)| function.is(schema, name))
}

fn called(statement: &Statement, subject: &Subject<'_>, source: &Source) -> Vec<(String, Object)> {
    let product = INTERNAL.contains(&subject.module);
    let calls = statement.stmt.syntax().descendants().filter_map(|n| callee(&n));
    calls
        .filter_map(|function| Some((foreign_schema(&function, subject, source)?, function)))
        .filter(|(schema, function)| {
            let own = product && may_use(subject.module, schema);
            !is_open(function) && !own && !function.is_system() && schema != "public"
        })
        .collect()
}

fn words(node: &SyntaxNode) -> Vec<String> {
    let tokens = node.children_with_tokens().filter(|child| !child.kind().is_trivia());
    tokens.take(1).map(|token| token.to_string().to_lowercase()).collect()
}

/// What is granted to everybody is granted to logins that nobody thought of.
fn rights_of_all(statement: &Statement, found: &mut Vec<Finding>) {
    let ast::Stmt::Grant(it) = &statement.stmt else { return };
    let everybody = it.role_ref_list().is_some_and(|list| {
        list.role_refs().any(|role| role.syntax().text().to_string().trim().eq_ignore_ascii_case("public"))
    });
    if everybody && it.on_privilege_objects_clause().is_some() {
        let help = "grant to progress_service or progress_worker";
        found.push(Finding::error("rights-of-all", statement.line, "grants to PUBLIC", help));
    }
}
