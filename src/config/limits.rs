//! The limits of xAPI in the words of its room.

use super::keys::Xapi;

impl Xapi {
    /// The limits in the words of the xAPI room.
    pub fn limits(&self) -> crate::xapi::Limits {
        crate::xapi::Limits {
            body_bytes: self.body_bytes.0,
            multipart_bytes: self.multipart_bytes.0,
            multipart_parts: self.multipart_parts,
            statements: self.statements,
            statement_bytes: self.statement_bytes.0,
            depth: self.depth,
            values: self.values,
            iri_bytes: self.iri_bytes.0,
            violations: self.violations,
            document_bytes: self.document_bytes.0,
            page: self.page,
            page_bytes: self.page_bytes.0,
        }
    }
}
