//! Rules about what is called: functions that wait, reach out of the database, or do what nobody can read here.

use squawk_syntax::ast::{self, AstNode};

use super::{
    Finding, Subject,
    bodies::callee,
    names::Object,
    reach,
    source::{Place, Source, runs_code},
};

pub(super) fn check(subject: &Subject<'_>, source: &Source, found: &mut Vec<Finding>) {
    for part in &source.parts {
        for node in part.node.descendants() {
            let Some(function) = callee(&node) else { continue };
            let line = source.line_in(part, &node);
            let at_once = part.place != Place::Body;
            if at_once && is_system(&function) && function.name == "setval" {
                let help = "a sequence only goes on by itself; START WITH when it is created";
                found.push(Finding::error("sequence-value", line, "sets the place of a sequence", help));
            }
            if is_system(&function)
                && let Some(why) = danger(&function.name, at_once)
            {
                let message = format!("calls {}: it {why}", function.name);
                found.push(Finding::error("dangerous-call", line, message, "do without, or leave it to an operator"));
            }
        }
    }
    unseen(subject, source, found);
}

fn is_system(function: &Object) -> bool {
    function.schema.as_deref().is_none_or(|schema| matches!(schema, "pg_catalog" | "public"))
}

/// What is wrong with a function, at once or whenever it is called.
fn danger(name: &str, at_once: bool) -> Option<&'static str> {
    const OUTSIDE: [&str; 16] = [
        "pg_read_file",
        "pg_read_binary_file",
        "pg_ls_dir",
        "pg_stat_file",
        "lo_import",
        "lo_export",
        "lo_put",
        "lo_create",
        "lo_from_bytea",
        "lo_unlink",
        "pg_file_write",
        "pg_execute_server_program",
        "pg_reload_conf",
        "pg_rotate_logfile",
        "pg_promote",
        "pg_switch_wal",
    ];
    const STOPS: [&str; 2] = ["pg_terminate_backend", "pg_cancel_backend"];
    const HIDES: [&str; 6] = [
        "query_to_xml",
        "query_to_xmlschema",
        "query_to_xml_and_xmlschema",
        "cursor_to_xml",
        "database_to_xml",
        "ts_stat",
    ];
    const HOLDS: [&str; 6] = [
        "pg_advisory_lock",
        "pg_advisory_lock_shared",
        "pg_advisory_unlock",
        "pg_advisory_unlock_shared",
        "pg_advisory_unlock_all",
        "pg_try_advisory_lock",
    ];
    if OUTSIDE.contains(&name) || name.starts_with("dblink") {
        Some("reaches out of the database")
    } else if name.contains("replication_slot")
        || name.starts_with("pg_replication_")
        || name.starts_with("pg_wal_replay")
    {
        Some("changes replication")
    } else if STOPS.contains(&name) {
        Some("ends the work of others")
    } else if HIDES.contains(&name) {
        Some("executes a string that no rule reads")
    } else if at_once && HOLDS.contains(&name) {
        Some("takes or frees a lock of the session, as the runner's own is")
    } else if at_once && name.starts_with("pg_sleep") {
        Some("waits, and everybody with it who waits for a lock of this file")
    } else if at_once && name.starts_with("pg_stat_reset") {
        Some("forgets what the server has counted")
    } else {
        None
    }
}

/// A call that runs with the file, of a function whose body is not in it.
fn unseen(subject: &Subject<'_>, source: &Source, found: &mut Vec<Finding>) {
    let blocks = source.parts.iter().filter(|part| part.place == Place::Block);
    let blocks = blocks.map(|part| (part.node.clone(), part.line.unwrap_or(1)));
    let tops = source.outer().filter(|s| runs_code(&s.stmt)).map(|s| (s.stmt.syntax().clone(), s.line));
    for (node, line) in blocks.chain(tops) {
        for call in node.descendants().filter(|n| ast::CallExpr::can_cast(n.kind()) || ast::Call::can_cast(n.kind())) {
            let Some(function) = callee(&call) else { continue };
            let Some(schema) = function.schema.as_deref() else { continue };
            let known = function.is_system() || function.is_placeholder() || reach::is_open(&function);
            // Whose it is not at all, another rule says.
            if known || source.creates(&function) || !reach::may_use(subject.module, schema) {
                continue;
            }
            let message = format!("runs {function}, whose code is not in this file");
            let help = "write the statements out, or say in the head why the call is safe";
            found.push(Finding::error("unseen-code", line, message, help));
        }
    }
}
