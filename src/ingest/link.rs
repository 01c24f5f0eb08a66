//! Resolves StatementRefs within the writing transaction, up to a limit. Beyond it they are queued (`links_due`) for the
//! background loop, so that no writer waits for a long chain that somebody else made.

use uuid::Uuid;

use super::recall::{Halt, Recalled};
use crate::{
    model::TenantId,
    store::{
        Tx,
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
    recalled: &Recalled,
) -> Result<(), Halt> {
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
            let away = links::write(tx, tenant, &pairs, &recalled.reached).await?.away;
            if !away.is_empty() && !recalled.later {
                return Err(Halt::Reached(away));
            }
            later |= !away.is_empty();
        } else {
            later = true;
        }
    }
    if later {
        links::look_again(tx, tenant, awaited, &[]).await?;
    }
    Ok(())
}
