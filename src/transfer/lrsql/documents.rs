//! Documents of lrsql, by their kinds and keys.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    source::{Lrsql, groups},
    take::Taker,
};
use crate::{
    model::TenantId,
    store::{Store, ledger::documents::DocumentKind, lrsql::Document},
    transfer::{PastDocument, TransferError, export::Tell, past_documents::Documents},
    xapi::{keys::Ifi, query::DocumentScope},
};

/// Takes what was modified after `since`; answers with when the newest was.
pub async fn take(
    taker: &mut Taker<'_>,
    store: &Store,
    tenant: TenantId,
    (since, page): (Option<DateTime<Utc>>, i64),
    tell: Tell<'_>,
) -> Result<(Documents, Option<DateTime<Utc>>), TransferError> {
    let (mut done, mut newest) = (Documents::default(), None);
    for kind in DocumentKind::ALL {
        let mut after = Uuid::nil();
        loop {
            let listed = taker.lrsql.documents(kind, after, since, page).await?;
            let Some(last) = listed.last() else { break };
            after = last.key;
            for keys in groups(&listed) {
                let past = past(taker.lrsql, kind, &keys).await?;
                newest = newest.max(past.iter().map(|one| one.updated_at).max());
                done.take(&mut taker.intake, (store, tenant), &past).await?;
                tell("documents", done.read);
            }
        }
    }
    Ok((done, newest))
}

async fn past(lrsql: &mut Lrsql, kind: DocumentKind, keys: &[Uuid]) -> Result<Vec<PastDocument>, TransferError> {
    let documents = lrsql.document_contents(kind, keys).await?;
    documents.into_iter().map(|document| of(kind, document)).collect()
}

/// A document as it is put here.
fn of(kind: DocumentKind, document: Document) -> Result<PastDocument, TransferError> {
    let Document { id, activity, identifier, agent, registration, content_type, content, modified } = document;
    let agent = agent.as_ref().and_then(Ifi::of).or_else(|| identifier.as_deref().and_then(ifi));
    let scope = match (kind, activity, agent) {
        (DocumentKind::State, Some(activity), Some(agent)) => DocumentScope::State { activity, agent, registration },
        (DocumentKind::ActivityProfile, Some(activity), _) => DocumentScope::ActivityProfile { activity },
        (DocumentKind::AgentProfile, _, Some(agent)) => DocumentScope::AgentProfile { agent },
        _ => {
            let whose = identifier.unwrap_or_default();
            let why = format!("lrsql's {} document {id:?} cannot be taken: {whose:?} names no agent", kind.as_str());
            return Err(TransferError::Refused(why));
        }
    };
    Ok(PastDocument { scope, id, content_type, content, updated_at: modified })
}

/// The identifier of an agent out of lrsql's one text, `type::value`. An account is `name@homePage`, and a name may hold an `@` too:
/// the home page is taken to begin at the last one before a scheme.
fn ifi(text: &str) -> Option<Ifi> {
    let (kind, value) = text.split_once("::")?;
    match kind {
        "mbox" => Some(Ifi::Mbox(value.to_owned())),
        "mbox_sha1sum" => Some(Ifi::MboxSha1sum(value.to_owned())),
        "openid" => Some(Ifi::OpenId(value.to_owned())),
        "account" => {
            let at = value.rfind("@http").or_else(|| value.rfind('@'))?;
            Some(Ifi::Account { home_page: value[at + 1..].to_owned(), name: value[..at].to_owned() })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_identifier_is_read() {
        let account = |name: &str, home: &str| Some(Ifi::Account { home_page: home.into(), name: name.into() });
        assert_eq!(ifi("mbox::mailto:a@x.example"), Some(Ifi::Mbox("mailto:a@x.example".into())));
        assert_eq!(ifi("mbox_sha1sum::ebd3"), Some(Ifi::MboxSha1sum("ebd3".into())));
        assert_eq!(ifi("openid::https://x.example/a"), Some(Ifi::OpenId("https://x.example/a".into())));
        assert_eq!(ifi("account::ann@https://x.example"), account("ann", "https://x.example"));
        assert_eq!(ifi("account::ann@x.example@https://x.example"), account("ann@x.example", "https://x.example"));
        assert_eq!(ifi("account::ann@urn:x"), account("ann", "urn:x"));
        assert_eq!(ifi("name::ann"), None);
        assert_eq!(ifi("ann"), None);
    }
}
