//! How large a request may be. Every number is configuration, and every refusal answers with its number.

/// Bounds that keep any input, however large or nested, in bounded memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request body that is not multipart.
    pub body_bytes: usize,
    /// Bytes of a whole `multipart/mixed` request.
    pub multipart_bytes: usize,
    /// Parts of a `multipart/mixed` request, the statements part included.
    pub multipart_parts: usize,
    /// Statements in one POST.
    pub statements: usize,
    /// Bytes of one statement as JSON.
    pub statement_bytes: usize,
    /// Levels of nested JSON.
    pub depth: usize,
    /// JSON values (numbers, strings, objects …) in one body: a value takes far more memory than its text.
    pub values: usize,
    /// Bytes of one IRI.
    pub iri_bytes: usize,
    /// Violations listed before the answer says "and more".
    pub violations: usize,
    /// Bytes of one state or profile document.
    pub document_bytes: usize,
    /// Statements on one page of a GET; `limit=0` asks for exactly this.
    pub page: usize,
    /// Bytes of statements on one page.
    pub page_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 16 << 20,
            multipart_bytes: 128 << 20,
            multipart_parts: 1_000,
            statements: 5_000,
            statement_bytes: 1 << 20,
            depth: 64,
            values: 400_000,
            iri_bytes: 16 << 10,
            violations: 100,
            document_bytes: 16 << 20,
            page: 500,
            page_bytes: 8 << 20,
        }
    }
}
