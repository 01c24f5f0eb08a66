//! Names of database objects as the parser sees them.

use std::fmt;

use squawk_syntax::{
    SyntaxKind, SyntaxNode,
    ast::{AstNode, normalize_name_node},
};

/// A possibly qualified name, folded as PostgreSQL folds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Object {
    pub schema: Option<String>,
    pub name: String,
}

/// Stands where a name is only known at run time.
pub(super) const PLACEHOLDER: &str = "__known_at_run_time";

impl Object {
    /// Whether some part of the name is only known at run time.
    pub fn is_placeholder(&self) -> bool {
        let hole = |part: &str| part.contains(PLACEHOLDER);
        hole(&self.name) || self.schema.as_deref().is_some_and(hole)
    }

    /// Whether it is in the system's own catalogs.
    pub fn is_system(&self) -> bool {
        match self.schema.as_deref() {
            Some(schema) => schema.starts_with("pg_") || schema == "information_schema",
            None => self.name.starts_with("pg_"),
        }
    }

    pub fn is(&self, schema: &str, name: &str) -> bool {
        self.schema.as_deref() == Some(schema) && self.name == name
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// The first name inside a node: the object of `TABLE_NAME`, `VIEW_REF`, `ON_TABLE` and the like.
pub(super) fn object_in(node: &SyntaxNode) -> Option<Object> {
    let path = node.descendants().find(|n| matches!(n.kind(), SyntaxKind::PATH | SyntaxKind::PATH_REF))?;
    let is_segment = |n: &SyntaxNode| matches!(n.kind(), SyntaxKind::PATH_SEGMENT | SyntaxKind::PATH_SEGMENT_REF);
    let mut parts: Vec<String> = path.descendants().filter(is_segment).map(|n| normalize_name_node(&n)).collect();
    let name = parts.pop()?;
    Some(Object { schema: parts.pop(), name })
}

/// The object of an optional part of a statement.
pub(super) fn object_of<N: AstNode>(part: Option<N>) -> Option<Object> {
    object_in(part?.syntax())
}

/// Whether a node names a relation, type, routine or sequence that must be told which schema it is in.
pub(super) fn names_object(node: &SyntaxNode) -> bool {
    use SyntaxKind as K;
    // After RENAME TO and USING INDEX the grammar takes a bare name only.
    let bare = |parent: SyntaxNode| {
        matches!(
            parent.kind(),
            K::TABLE_RENAME_TO
                | K::VIEW_RENAME_TO
                | K::INDEX_RENAME_TO
                | K::SEQUENCE_RENAME_TO
                | K::TYPE_RENAME_TO
                | K::FUNCTION_RENAME_TO
                | K::USING_INDEX_NAME
        )
    };
    let names = matches!(
        node.kind(),
        K::TABLE_NAME
            | K::TABLE_NAME_REF
            | K::RELATION_NAME_REF
            | K::VIEW
            | K::VIEW_REF
            | K::SEQUENCE
            | K::SEQUENCE_REF
            | K::TYPE_NAME
            | K::FUNCTION_NAME
            | K::FUNCTION_NAME_REF
            | K::INDEX_REF
    );
    names && !node.parent().is_some_and(bare)
}
