//! A parsed file: its statements with their lines and places, and the objects it makes itself.

use std::collections::{BTreeMap, BTreeSet};

use squawk_syntax::{
    Parse, SourceFile, SyntaxNode,
    ast::{self, AstNode},
};

use super::{
    bodies::{self, Found},
    names::{Object, object_of},
    nodes::start_of,
};

/// Where a statement stands, which decides when it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At the top of the file.
    Top,
    /// In a `DO` block, in a string it executes, or in a function that the file calls: it runs with the file.
    Block,
    /// In the body of a function: the service runs it later.
    Body,
}

pub(super) struct Statement {
    pub stmt: ast::Stmt,
    pub line: u32,
    pub place: Place,
    /// Its number in the file, to tell what came before it.
    pub at: usize,
    /// Which statement at the top it is, or is a part of.
    unit: usize,
}

impl Statement {
    /// Whether it runs with the file, within a transaction whatever the file says unless it is at the top.
    pub fn runs(&self) -> bool {
        self.place != Place::Body
    }
}

/// A part of the file whose expressions can be looked through: the file itself, or a body in it.
pub(super) struct Part {
    pub node: SyntaxNode,
    pub place: Place,
    /// The line of everything in it; absent where the lines are the file's own.
    pub line: Option<u32>,
    unit: usize,
}

pub(super) struct Source {
    pub parse: Parse<SourceFile>,
    pub statements: Vec<Statement>,
    pub parts: Vec<Part>,
    /// Lines with code that no rule can read, and why.
    pub unread: Vec<(u32, &'static str)>,
    /// What the file creates, the number of the statement, and whether it was certainly not there before.
    created: BTreeMap<Object, (usize, bool)>,
    temporary: BTreeSet<Object>,
    newlines: Vec<u32>,
}

impl Source {
    pub fn parse(sql: &str) -> Self {
        let newlines = (0..).zip(sql.bytes()).filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
        let parse = SourceFile::parse(sql);
        let top = Part { node: parse.syntax_node(), place: Place::Top, line: None, unit: usize::MAX };
        let mut source = Self {
            parse,
            statements: Vec::new(),
            parts: vec![top],
            unread: Vec::new(),
            created: BTreeMap::new(),
            temporary: BTreeSet::new(),
            newlines,
        };
        for (unit, stmt) in source.parse.tree().stmts().enumerate() {
            source.take(stmt, unit);
        }
        source.call();
        source.number();
        source
    }

    /// The line (from 1) of a place in the file.
    pub fn line_at(&self, offset: u32) -> u32 {
        let before = self.newlines.partition_point(|at| *at < offset);
        u32::try_from(before + 1).unwrap_or(u32::MAX)
    }

    /// The line of a node of a part.
    pub fn line_in(&self, part: &Part, node: &SyntaxNode) -> u32 {
        part.line.unwrap_or_else(|| self.line_at(start_of(node)))
    }

    /// The statements at the top of the file.
    pub fn outer(&self) -> impl Iterator<Item = &Statement> {
        self.statements.iter().filter(|statement| statement.place == Place::Top)
    }

    /// The statements that run with the file.
    pub fn running(&self) -> impl Iterator<Item = &Statement> {
        self.statements.iter().filter(|statement| statement.runs())
    }

    /// Whether the file made this before its statement number `at`: nobody else can be waiting for it.
    pub fn makes(&self, object: &Object, at: usize) -> bool {
        self.created.get(object).is_some_and(|(made, _)| *made < at) || self.temporary.contains(object)
    }

    /// As [`Source::makes`], but `IF NOT EXISTS` proves nothing: what is dropped may be somebody's.
    pub fn surely_makes(&self, object: &Object, at: usize) -> bool {
        self.created.get(object).is_some_and(|(made, sure)| *made < at && *sure) || self.temporary.contains(object)
    }

    /// Whether the file makes it at all.
    pub fn creates(&self, object: &Object) -> bool {
        self.created.contains_key(object)
    }

    pub fn is_temporary(&self, object: &Object) -> bool {
        self.temporary.contains(object)
    }

    /// The object, if it was there before the file. What only run time knows is left out: that is said elsewhere.
    pub fn existing(&self, object: Option<Object>, at: usize) -> Option<Object> {
        object.filter(|object| !object.is_placeholder() && !self.makes(object, at))
    }

    fn take(&mut self, stmt: ast::Stmt, unit: usize) {
        if let ast::Stmt::EmptyStmt(_) = stmt {
            return;
        }
        let line = self.line_at(start_of(stmt.syntax()));
        let place = if let ast::Stmt::Do(_) = stmt { Place::Block } else { Place::Body };
        let at = |offset| self.line_at(offset);
        let found = bodies::of(&stmt, line, &at);
        self.take_body(found, place, unit);
        self.statements.push(Statement { stmt, line, place: Place::Top, at: 0, unit });
    }

    fn take_body(&mut self, found: Found, place: Place, unit: usize) {
        self.unread.extend(found.unread);
        let parts = found.parts.into_iter().map(|(node, line)| Part { node, place, line: Some(line), unit });
        self.parts.extend(parts);
        let statements = found.statements.into_iter();
        self.statements.extend(statements.map(|(stmt, line)| Statement { stmt, line, place, at: 0, unit }));
    }

    /// The body of a function that the file itself calls runs with the file.
    fn call(&mut self) {
        let blocks = self.parts.iter().filter(|part| part.place == Place::Block).map(|part| &part.node);
        let tops = self.outer().filter(|s| runs_code(&s.stmt)).map(|s| s.stmt.syntax());
        let called: BTreeSet<Object> = blocks.chain(tops).flat_map(bodies::called_in).collect();
        // A call may leave the schema to the search path.
        let bare = |name: &Object| Object { schema: None, name: name.name.clone() };
        let is_called = |name: &Object| called.contains(name) || called.contains(&bare(name));
        let routines = self.outer().filter(|s| bodies::routine(&s.stmt).is_some_and(|name| is_called(&name)));
        let units: BTreeSet<usize> = routines.map(|s| s.unit).collect();
        let runs = |place: Place, unit: usize| place == Place::Body && units.contains(&unit);
        self.statements.iter_mut().filter(|s| runs(s.place, s.unit)).for_each(|s| s.place = Place::Block);
        self.parts.iter_mut().filter(|p| runs(p.place, p.unit)).for_each(|p| p.place = Place::Block);
    }

    fn number(&mut self) {
        for (at, statement) in self.statements.iter_mut().enumerate() {
            statement.at = at;
            let Some((object, sure, temporary)) = created_by(&statement.stmt) else { continue };
            if temporary {
                self.temporary.insert(object);
            } else if statement.runs() {
                self.created.entry(object).or_insert((at, sure));
            }
        }
    }
}

/// Statements whose expressions are evaluated when they run, unlike those that only store them.
pub(super) fn runs_code(stmt: &ast::Stmt) -> bool {
    use ast::Stmt as S;
    matches!(
        stmt,
        S::Select(_)
            | S::SelectInto(_)
            | S::CompoundSelect(_)
            | S::ParenSelect(_)
            | S::Values(_)
            | S::Insert(_)
            | S::Update(_)
            | S::Delete(_)
            | S::Merge(_)
            | S::Call(_)
            | S::CreateTableAs(_)
            | S::CreateMaterializedView(_)
            | S::Explain(_)
            | S::Copy(_)
            | S::Execute(_)
    )
}

/// Where a node begins, past the comments and blanks before it.
/// What a statement creates, whether it was certainly not there before, and whether it is gone with the session.
fn created_by(stmt: &ast::Stmt) -> Option<(Object, bool, bool)> {
    let temp = |it: Option<ast::Persistence>| matches!(it, Some(ast::Persistence::Temp(_)));
    Some(match stmt {
        ast::Stmt::CreateTable(it) => {
            (object_of(it.table_name())?, it.if_not_exists().is_none(), temp(it.persistence()))
        }
        ast::Stmt::CreateTableAs(it) => {
            (object_of(it.table_name())?, it.if_not_exists().is_none(), temp(it.persistence()))
        }
        ast::Stmt::CreateForeignTable(it) => (object_of(it.table_name())?, it.if_not_exists().is_none(), false),
        ast::Stmt::CreateView(it) => (object_of(it.view())?, it.or_replace().is_none(), temp(it.persistence())),
        ast::Stmt::CreateMaterializedView(it) => (object_of(it.view())?, it.if_not_exists().is_none(), false),
        ast::Stmt::CreateSequence(it) => {
            (object_of(it.sequence())?, it.if_not_exists().is_none(), temp(it.persistence()))
        }
        ast::Stmt::CreateType(it) => (object_of(it.type_name())?, true, false),
        ast::Stmt::CreateDomain(it) => (object_of(it.domain())?, true, false),
        ast::Stmt::CreateFunction(it) => (object_of(it.name())?, it.or_replace().is_none(), false),
        ast::Stmt::CreateProcedure(it) => (object_of(it.name())?, it.or_replace().is_none(), false),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(sql: &str) -> Vec<(u32, Place)> {
        Source::parse(sql).statements.iter().map(|s| (s.line, s.place)).collect()
    }

    #[test]
    fn finds_statements_in_do_blocks_with_their_lines() {
        let sql = "-- head\nCREATE TABLE a.b (x int);\n\nDO $$\nBEGIN\n  ALTER TABLE a.c DROP COLUMN d;\n  EXECUTE x;\nEND $$;\n";
        assert_eq!(seen(sql), [(2, Place::Top), (6, Place::Block), (4, Place::Top)]);
        let source = Source::parse(sql);
        assert_eq!(source.unread.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [7]);
        let object = Object { schema: Some("a".into()), name: "b".into() };
        assert!(source.creates(&object) && source.makes(&object, 2) && !source.makes(&object, 0));
        assert_eq!(object.to_string(), "a.b");
    }

    #[test]
    fn a_body_runs_with_the_file_that_calls_it() {
        let function =
            "CREATE FUNCTION a.f() RETURNS void LANGUAGE plpgsql AS $$\nBEGIN\n  DELETE FROM a.b;\nEND $$;\n";
        assert_eq!(seen(function), [(3, Place::Body), (1, Place::Top)]);
        for call in ["SELECT a.f();", "DO $$ BEGIN PERFORM a.f(); END $$;"] {
            assert_eq!(seen(&format!("{function}{call}"))[0], (3, Place::Block), "{call}");
        }
        assert_eq!(seen(&format!("{function}SELECT a.g();"))[0], (3, Place::Body));
        let sql = "CREATE FUNCTION a.f() RETURNS void LANGUAGE sql AS $$\n  DELETE FROM a.b;\n  SELECT 1 $$;";
        assert_eq!(seen(sql), [(2, Place::Body), (3, Place::Body), (1, Place::Top)]);
        let atomic = "CREATE PROCEDURE a.p() BEGIN ATOMIC\n  DELETE FROM a.b;\nEND;\nCALL a.p();";
        assert_eq!(seen(atomic)[0], (2, Place::Block));
    }
}
