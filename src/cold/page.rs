//! A page over hot, detached and archived months: piece by piece in its order until it is full.

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    Cold, ColdError, Segments,
    plan::{Filling, Piece, pieces},
    segments,
};
use crate::{
    model::TenantId,
    store::{
        As,
        ledger::{
            away::{Away, Keeper},
            pages::{self, Filter, Found, Part, Span},
            tables::Tables,
        },
    },
};

/// Pieces that are read at once, where those before them did not fill the page: at first one, then more and more.
const AT_ONCE: usize = 4;

impl Cold {
    /// Completes a page that was read in the hot tables. `seen` is a bound from before.
    pub async fn fill(
        &self,
        tenant: TenantId,
        filter: &Filter,
        span: &Span,
        hot: Part,
        seen: DateTime<Utc>,
    ) -> Result<Vec<Found>, ColdError> {
        let pieces = pieces(&hot.away, span);
        if pieces.is_empty() {
            return Ok(hot.found);
        }
        let (mut page, mut hot_rows) = (Filling::new(*span), hot.found.into_iter().peekable());
        let mut segments: Option<Segments> = None;
        let (mut left, mut at_once) = (pieces.as_slice(), 1);
        while let Some(first) = left.first() {
            while let Some(row) = hot_rows.next_if(|row| first.is_behind(row.stored, span.ascending)) {
                page.push(row);
            }
            if page.is_full() {
                return Ok(page.rows());
            }
            let (now, rest) = left.split_at(left.len().min(at_once));
            if segments.is_none() && now.iter().any(|piece| piece.keeper == Keeper::Segments) {
                segments = Some(self.segments(tenant).await?);
            }
            let asked = |piece: &Piece| piece.span(span, page.limit(), page.bytes());
            let read = |piece: &Piece| {
                Box::pin(self.piece(tenant, filter, (*piece, asked(piece)), segments.as_ref(), (&hot.away, seen)))
            };
            let reads: Vec<_> = now.iter().map(read).collect();
            let found: Vec<Vec<Found>> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
            for (piece, found) in now.iter().zip(found) {
                while let Some(row) = hot_rows.next_if(|row| piece.is_behind(row.stored, span.ascending)) {
                    page.push(row);
                }
                found.into_iter().for_each(|row| page.push(row));
            }
            (left, at_once) = (rest, (2 * at_once).min(AT_ONCE));
        }
        hot_rows.for_each(|row| page.push(row));
        Ok(page.rows())
    }

    async fn piece(
        &self,
        tenant: TenantId,
        filter: &Filter,
        (piece, span): (Piece, Span),
        segments: Option<&Segments>,
        (away, seen): (&[Away], DateTime<Utc>),
    ) -> Result<Vec<Found>, ColdError> {
        match (piece.keeper, segments) {
            (Keeper::Segments, Some(segments)) => {
                segments::page(&self.store, segments, filter, piece.stretch, &span).await
            }
            (Keeper::Segments, None) => Err(ColdError::Moved),
            (Keeper::Detached, _) => {
                let read = self.store.run_tx("detached_page", As::Tenant(tenant), |tx| {
                    Box::pin(pages::page(tx, tenant, filter, (Tables::Detached, &span), seen))
                });
                let part = read.await?.found;
                let is_of_it =
                    |one: &&Away| one.bounds.lower < piece.stretch.upper && piece.stretch.lower < one.bounds.upper;
                let still_there = away.iter().filter(is_of_it).all(|one| part.away.contains(one));
                if still_there { Ok(part.found) } else { Err(ColdError::Moved) }
            }
        }
    }
}
