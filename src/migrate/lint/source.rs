//! A parsed file: its statements with their lines, and the objects it makes itself.

use std::collections::BTreeSet;

use squawk_syntax::{
    Parse, SourceFile, SyntaxKind, SyntaxNode,
    ast::{self, AstNode},
};

use super::names::{Object, object_of};

/// A statement at the top of the file or inside one of its `DO` blocks.
pub(super) struct Statement {
    pub stmt: ast::Stmt,
    pub line: u32,
    /// Inside a `DO` block: it runs within a transaction whatever the file says.
    pub nested: bool,
}

pub(super) struct Source {
    pub parse: Parse<SourceFile>,
    pub statements: Vec<Statement>,
    /// Tables and the like that this file creates: nobody else can be waiting for them.
    created: BTreeSet<Object>,
    /// Lines with SQL that is put together while it runs, so that no rule can see it.
    pub dynamic: Vec<u32>,
    newlines: Vec<u32>,
}

impl Source {
    pub fn parse(sql: &str) -> Self {
        let newlines = (0..).zip(sql.bytes()).filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
        let parse = SourceFile::parse(sql);
        let mut source =
            Self { parse, statements: Vec::new(), created: BTreeSet::new(), dynamic: Vec::new(), newlines };
        for stmt in source.parse.tree().stmts() {
            source.take(stmt);
        }
        source.created = source.statements.iter().filter_map(|s| created_by(&s.stmt)).collect();
        source
    }

    /// The line (from 1) of a place in the file.
    pub fn line_at(&self, offset: u32) -> u32 {
        let before = self.newlines.partition_point(|at| *at < offset);
        u32::try_from(before + 1).unwrap_or(u32::MAX)
    }

    /// The statements that are not inside a `DO` block.
    pub fn outer(&self) -> impl Iterator<Item = &Statement> {
        self.statements.iter().filter(|statement| !statement.nested)
    }

    pub fn creates(&self, object: &Object) -> bool {
        self.created.contains(object)
    }

    fn take(&mut self, stmt: ast::Stmt) {
        if let ast::Stmt::EmptyStmt(_) = stmt {
            return;
        }
        let line = self.line_at(start_of(stmt.syntax()));
        if let ast::Stmt::Do(block) = &stmt {
            match block.plpgsql() {
                Some(body) => self.take_body(&body),
                None => self.dynamic.push(line),
            }
        }
        self.statements.push(Statement { stmt, line, nested: false });
    }

    fn take_body(&mut self, body: &squawk_syntax::plpgsql::Plpgsql) {
        for node in body.syntax().descendants() {
            let line = self.line_at(body.source_range(node.text_range()).start().into());
            let dynamic = [SyntaxKind::PLPGSQL_DYN_EXECUTE_STMT, SyntaxKind::PLPGSQL_FOR_DYN_STMT];
            if dynamic.contains(&node.kind()) {
                self.dynamic.push(line);
            }
            // Only the outermost statement: what lies inside it is seen when it is judged.
            if !node.ancestors().skip(1).any(|outer| ast::Stmt::can_cast(outer.kind()))
                && let Some(stmt) = ast::Stmt::cast(node)
            {
                self.statements.push(Statement { stmt, line, nested: true });
            }
        }
    }
}

/// Where a node begins, past the comments and blanks before it.
pub(super) fn start_of(node: &SyntaxNode) -> u32 {
    let first = node.children_with_tokens().find(|child| !child.kind().is_trivia());
    first.map_or(node.text_range(), |child| child.text_range()).start().into()
}

fn created_by(stmt: &ast::Stmt) -> Option<Object> {
    match stmt {
        ast::Stmt::CreateTable(it) => object_of(it.table_name()),
        ast::Stmt::CreateTableAs(it) => object_of(it.table_name()),
        ast::Stmt::CreateForeignTable(it) => object_of(it.table_name()),
        ast::Stmt::CreateView(it) if it.or_replace().is_none() => object_of(it.view()),
        ast::Stmt::CreateMaterializedView(it) => object_of(it.view()),
        ast::Stmt::CreateSequence(it) => object_of(it.sequence()),
        ast::Stmt::CreateType(it) => object_of(it.type_name()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_statements_in_do_blocks_with_their_lines() {
        let source = Source::parse(
            "-- head\nCREATE TABLE a.b (x int);\n\nDO $$\nBEGIN\n  ALTER TABLE a.c DROP COLUMN d;\n  EXECUTE 'x';\nEND $$;\n",
        );
        let seen: Vec<(u32, bool)> = source.statements.iter().map(|s| (s.line, s.nested)).collect();
        assert_eq!(seen, [(2, false), (6, true), (4, false)]);
        assert_eq!(source.dynamic, [7]);
        let object = Object { schema: Some("a".into()), name: "b".into() };
        assert!(source.creates(&object));
        assert_eq!(object.to_string(), "a.b");
    }
}
