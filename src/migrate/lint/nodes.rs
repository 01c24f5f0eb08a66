//! Where a node of the syntax tree really begins.

use squawk_syntax::{SyntaxElement, SyntaxNode};

pub(super) fn start_of(node: &SyntaxNode) -> u32 {
    first(node).text_range().start().into()
}

/// The first part of a node that is neither comment nor blank.
pub(super) fn first(node: &SyntaxNode) -> SyntaxElement {
    node.children_with_tokens().find(|child| !child.kind().is_trivia()).unwrap_or_else(|| node.clone().into())
}
