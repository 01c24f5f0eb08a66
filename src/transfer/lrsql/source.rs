//! lrsql's database as a source: looked at before anything is taken, asked at no more than the pace that was agreed on, and named
//! in every complaint.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    store::{
        Endpoint, StoreError,
        ledger::documents::DocumentKind,
        lrsql::{Attachment, Content, Counts, Credential, Document, Session, Statement},
    },
    transfer::{TransferError, pace::Pace},
};

/// Bytes of contents that are asked for at once, about; a larger one comes alone.
const TOGETHER: i64 = 8 << 20;

pub struct Lrsql {
    session: Session,
    pace: Pace,
    has_logins: bool,
}

impl Lrsql {
    /// Connects, and looks whether it is lrsql's.
    pub async fn open(endpoint: &Endpoint, per_second: f64) -> Result<Self, TransferError> {
        let session = Session::connect(endpoint).await;
        let mut session = session.map_err(|error| TransferError::Refused(format!("lrsql's database: {error}")))?;
        let looked = session.tables().await;
        let tables = looked.map_err(|error| said(session.place(), error))?;
        if !tables.missing.is_empty() {
            let names = tables.missing.join(", ");
            return Err(said(
                session.place(),
                format!("it is none of lrsql: there is no table {names} on its search_path"),
            ));
        }
        if !tables.closed.is_empty() {
            let names = tables.closed.join(", ");
            return Err(said(session.place(), format!("this login may not read {names}: GRANT SELECT on them")));
        }
        Ok(Self { session, pace: Pace::of(per_second), has_logins: tables.has_logins })
    }

    pub fn place(&self) -> &str {
        self.session.place()
    }

    pub async fn counts(&mut self, after: Uuid) -> Result<Counts, TransferError> {
        self.pace.turn().await;
        let counts = self.session.counts(after).await;
        self.heard(counts)
    }

    pub async fn statements(&mut self, after: Uuid, most: i64) -> Result<Vec<Statement>, TransferError> {
        self.pace.turn().await;
        let statements = self.session.statements(after, most).await;
        self.heard(statements)
    }

    pub async fn attachments(&mut self, statements: &[Uuid]) -> Result<Vec<Attachment>, TransferError> {
        self.pace.turn().await;
        let attachments = self.session.attachments(statements).await;
        self.heard(attachments)
    }

    pub async fn contents(&mut self, keys: &[Uuid]) -> Result<Vec<(Uuid, Vec<u8>)>, TransferError> {
        self.pace.turn().await;
        let contents = self.session.contents(keys).await;
        self.heard(contents)
    }

    pub async fn documents(
        &mut self,
        kind: DocumentKind,
        after: Uuid,
        since: Option<DateTime<Utc>>,
        most: i64,
    ) -> Result<Vec<Content>, TransferError> {
        self.pace.turn().await;
        let documents = self.session.documents(kind, after, since, most).await;
        self.heard(documents)
    }

    pub async fn document_contents(
        &mut self,
        kind: DocumentKind,
        keys: &[Uuid],
    ) -> Result<Vec<Document>, TransferError> {
        self.pace.turn().await;
        let documents = self.session.document_contents(kind, keys).await;
        self.heard(documents)
    }

    /// Its credentials; none where this login may not see them.
    pub async fn credentials(&mut self, has_secrets: bool) -> Result<Option<Vec<Credential>>, TransferError> {
        if !self.has_logins {
            return Ok(None);
        }
        self.pace.turn().await;
        let credentials = self.session.credentials(has_secrets).await;
        self.heard(credentials).map(Some)
    }

    fn heard<T>(&self, answer: Result<T, StoreError>) -> Result<T, TransferError> {
        answer.map_err(|error| said(self.place(), error))
    }
}

fn said(place: &str, what: impl std::fmt::Display) -> TransferError {
    TransferError::Refused(format!("lrsql's database {place}: {what}"))
}

/// Keys in groups whose contents come together.
pub fn groups(contents: &[Content]) -> Vec<Vec<Uuid>> {
    let (mut groups, mut bytes): (Vec<Vec<Uuid>>, i64) = (Vec::new(), 0);
    for content in contents {
        bytes += content.bytes;
        match groups.last_mut().filter(|_| bytes <= TOGETHER) {
            Some(group) => group.push(content.key),
            None => {
                groups.push(vec![content.key]);
                bytes = content.bytes;
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_come_together_up_to_some_bytes() {
        let of = |bytes: &[i64]| {
            let contents: Vec<Content> =
                (0..).zip(bytes).map(|(key, bytes)| Content { key: Uuid::from_u128(key), bytes: *bytes }).collect();
            groups(&contents).iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(of(&[]), Vec::<usize>::new());
        assert_eq!(of(&[1, 2, 3]), [3]);
        assert_eq!(of(&[TOGETHER - 1, 1, 1]), [2, 1]);
        assert_eq!(of(&[1, TOGETHER * 3, 1]), [1, 1, 1]);
    }
}
