//! Properties over generated statements.
