//! Documents of elsewhere: put as they were, and looked at again where they are now.

use serde::Serialize;

use super::{PastDocument, TransferError, foreign::Intake};
use crate::{
    model::TenantId,
    store::{
        As, Store,
        ledger::documents::{self, Document as Kept, DocumentPlace},
    },
};

/// What became of documents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Documents {
    pub read: u64,
    /// Were not here, or are newer than what was.
    pub put: u64,
    /// Are here now as they are there.
    pub equal: u64,
    /// Were written here after what was there: these stay.
    pub newer: u64,
    /// Of people who were erased: left out.
    pub left_out: u64,
    /// What is here now is not what was there, by their kind and name.
    pub different: Vec<String>,
}

impl Documents {
    /// Takes some of them.
    pub async fn take(
        &mut self,
        intake: &mut Intake,
        (store, tenant): (&Store, TenantId),
        past: &[PastDocument],
    ) -> Result<(), TransferError> {
        self.read += past.len() as u64;
        self.put += intake.documents(past).await?;
        let places: &Vec<(DocumentPlace, usize)> = &past
            .iter()
            .map(|one| (DocumentPlace::of(tenant, &one.scope, one.id.clone()), one.content.len()))
            .collect();
        let kept = store.run_tx("past_documents", As::Tenant(tenant), |tx| {
            Box::pin(async move {
                let mut kept = Vec::with_capacity(places.len());
                for (place, length) in places {
                    kept.push(documents::get(tx, tenant, place, *length).await?);
                }
                Ok::<_, TransferError>(kept)
            })
        });
        for ((there, (place, _)), here) in past.iter().zip(places).zip(kept.await?) {
            match here {
                None => self.left_out += 1,
                Some(here) if here.updated_at > there.updated_at => self.newer += 1,
                Some(here) if is_equal(there, &here) => self.equal += 1,
                Some(_) => self.different.push(format!("{} {}", place.kind.as_str(), there.id)),
            }
        }
        Ok(())
    }
}

fn is_equal(there: &PastDocument, here: &Kept) -> bool {
    here.content.as_ref() == Some(&there.content)
        && here.content_type == there.content_type
        && here.updated_at == there.updated_at
}
