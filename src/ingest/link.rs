//! Resolves StatementRefs within the writing transaction, up to a limit. Beyond it they are queued (`links_due`) for the
//! background loop, so that no writer waits for a long chain that somebody else made.

use uuid::Uuid;

use crate::{
    model::TenantId,
    store::{
        StoreError, Tx,
        ledger::links::{self, PIECE},
    },
};

/// Pairs of referrer and reached that a transaction writes itself.
const AT_ONCE: usize = 1_000;

/// Follows the references of those that arrive, `referring`, and of everybody who refers to one of `awaited`, which arrive
/// as well. References of `referring` are looked at again in any case, once everything that runs beside this is visible.
pub(super) async fn link(
    tx: &Tx<'_>,
    tenant: TenantId,
    referring: &[Uuid],
    awaited: &[Uuid],
) -> Result<(), StoreError> {
    let room = PIECE.checked_sub(referring.len());
    let waiting = match room {
        Some(_) if awaited.is_empty() => Some(Vec::new()),
        Some(room) => links::upstream(tx, tenant, awaited, room).await?,
        None => None,
    };
    let mut later = waiting.is_none();
    if room.is_some() {
        let mut look = [referring, waiting.as_deref().unwrap_or_default()].concat();
        look.sort_unstable();
        look.dedup();
        let pairs = links::missing(tx, tenant, &look, AT_ONCE + 1).await?;
        if pairs.len() <= AT_ONCE {
            links::write(tx, tenant, &pairs).await?;
        } else {
            later = true;
        }
    }
    if later { links::look_again(tx, tenant, awaited, &[]).await } else { Ok(()) }
}
