//! Statements of somebody who was erased, as they arrive: they are taken like any other that was erased, and nothing of them is kept.

use std::{borrow::Cow, collections::HashMap, collections::HashSet};

use uuid::Uuid;

use super::Attachment;
use crate::{
    model::TenantId,
    store::{
        StoreError, Tx,
        ledger::{
            erased,
            statements::{Id, Known, id_of},
        },
    },
    xapi::prepare::Prepared,
};

/// The ids of those that are not kept: their actor was erased, or they were. What is known of ids learns of the former.
pub(super) async fn lost(
    tx: &Tx<'_>,
    tenant: TenantId,
    callers: &[&[Prepared]],
    known: &mut HashMap<Id, Known>,
) -> Result<HashSet<Uuid>, StoreError> {
    let all = || callers.iter().copied().flatten();
    let mut actors: Vec<Uuid> = all().filter_map(|statement| statement.agent_key).collect();
    actors.sort_unstable();
    actors.dedup();
    let gone = erased::arriving(tx, tenant, &actors).await?;
    for statement in all().filter(|statement| statement.agent_key.is_some_and(|key| gone.contains(&key))) {
        known.entry(id_of(statement)).and_modify(|known| known.erased = true).or_insert_with(|| Known {
            digest: Vec::new(),
            erased: true,
            stored: statement.timestamp,
            occurred: None,
            is_away: false,
        });
    }
    Ok(known.iter().filter(|(_, known)| known.erased).map(|((_, id), _)| *id).collect())
}

/// The contents of a request but for those that only statements name which are not kept.
pub(super) fn wanted<'a>(
    attachments: &'a [Attachment],
    statements: &[Prepared],
    lost: &HashSet<Uuid>,
) -> Cow<'a, [Attachment]> {
    if lost.is_empty() || attachments.is_empty() {
        return Cow::Borrowed(attachments);
    }
    let names = |statement: &&Prepared, sha2: &str| statement.attachments.iter().any(|one| one.sha2 == sha2);
    let is_wanted = |attachment: &&Attachment| {
        let sha2 = hex::encode(&attachment.sha2);
        let mut naming = statements.iter().filter(|statement| names(statement, &sha2)).peekable();
        naming.peek().is_none() || naming.any(|statement| !lost.contains(&statement.id))
    };
    attachments.iter().filter(is_wanted).cloned().collect()
}
