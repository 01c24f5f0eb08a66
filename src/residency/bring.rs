//! What goes over in a move, and back: in rounds while the tenant is served, and to the last row while its writers wait.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Move, ResidencyError,
    courier::Courier,
    doors::{TICK, drained, edge, last_words},
    old::{self, Went},
    prove::{Proof, difference},
    run::Walk,
};
use crate::{
    model::partition::Month,
    store::{As, platform::moves},
};

/// Rounds in which what came meanwhile is brought; who writes faster than this copies is frozen for longer.
const ROUNDS: u32 = 12;
/// What to do when somebody was erased after their rows went over.
const ANEW: &str = "wait for the end of that, `residency cancel`, and plan the move anew";
/// A round that brought fewer, and took no longer, was the last one before the freeze.
const FEW: u64 = 500;
const SOON: Duration = Duration::from_millis(700);

impl Walk<'_> {
    pub async fn bring(&mut self, found: &Move) -> Result<(), ResidencyError> {
        let courier = self.forth(found);
        let before = Proof::kept(found.proof.as_ref(), "forth");
        if self.all_but_the_rest(found, &courier, ("forth", before)).await? {
            courier.rehearse_the_way_back().await?;
            self.same = Some(true);
        }
        Ok(())
    }

    /// Brings what came since the proof; answers whether that was all. What would stop the move later stops it here, where nobody
    /// waits for it.
    pub async fn catch_up(&self, found: &Move) -> Result<bool, ResidencyError> {
        self.forth(found).nobody_was_erased(found.created_at, ANEW).await?;
        self.all_but_the_rest(found, &self.forth(found), ("forth", Proof::kept(found.proof.as_ref(), "forth"))).await
    }

    pub async fn bring_back(&mut self, found: &Move) -> Result<(), ResidencyError> {
        let before = Proof::kept(found.proof.as_ref(), "back").or_else(|| Proof::kept(found.proof.as_ref(), "opened"));
        let courier = self.back(found);
        self.old_months_are_here_still(found, &courier, before.as_ref()).await?;
        if self.all_but_the_rest(found, &courier, ("back", before)).await? {
            self.same = Some(true);
        }
        Ok(())
    }

    /// Months that were not in place here when the tenant left are here as they were, and are not brought back: they must be the same
    /// there still. What came there since must be in place there, where it can be read from here.
    async fn old_months_are_here_still(
        &self,
        found: &Move,
        courier: &Courier,
        before: Option<&Proof>,
    ) -> Result<(), ResidencyError> {
        let there = courier.absent().await?;
        if let Some(one) = there.iter().find(|one| before.is_some_and(|proof| one.month.end() > proof.through)) {
            let (month, cell) = (one.month, &found.cell);
            return Err(ResidencyError::Differs(format!(
                "{month} is not in place in {cell}, and something was stored in it there: there `archive restore --month {month}` and \
                 `partitions attach --month {month}`, as far as `partitions list` asks for them, first"
            )));
        }
        let went = Went::all(found.proof.as_ref());
        self.must_be_what_went(&self.forth(found), &went).await?;
        for one in &went {
            let month = one.month();
            self.tell(&format!("comparing {month}"), 0);
            let why = match there.iter().find(|absent| absent.month == month) {
                // What is archived there is known from here by its count alone.
                Some(absent) if absent.statements.unsigned_abs() == one.tally().statements => None,
                Some(absent) => Some(format!("{month} has {} statements there", absent.statements)),
                None => difference(one.tallies(), &courier.in_place(month).await?),
            };
            if let Some(why) = why {
                return Err(ResidencyError::Differs(format!("{why}; it went there with {}", one.tally().statements)));
            }
        }
        Ok(())
    }

    /// Brings the months that are not in place, each once; answers whether it was let go to its end.
    async fn old_months(&self, found: &Move, courier: &Courier) -> Result<bool, ResidencyError> {
        let mut went = Went::all(self.residency.get(found.id).await?.proof.as_ref());
        let (residency, job) = (self.residency, self.job);
        for absent in courier.absent().await? {
            if went.iter().any(|one| one.is(&absent)) {
                continue;
            }
            let note = format!("copying {}", absent.month);
            let (goes_on, tell) = (|| !job.should_stop(), |done| self.tell(&note, done));
            let brought = Box::pin(courier.old_month(&residency.objects, &absent, (&goes_on, &tell))).await?;
            let Some(brought) = brought else { return Ok(false) };
            went.retain(|one| one.month() != absent.month);
            went.push(brought);
            went.sort_by_key(Went::month);
            self.store_proof(found.id, (old::PART, &json!(went)), found.proved_at).await?;
        }
        self.must_be_what_went(courier, &went).await?;
        Ok(true)
    }

    async fn must_be_what_went(&self, courier: &Courier, went: &[Went]) -> Result<(), ResidencyError> {
        let (absent, in_place) = (courier.absent().await?, courier.in_place_since(DateTime::UNIX_EPOCH).await?);
        match old::changed(went, &absent, &in_place) {
            None => Ok(()),
            Some(why) => Err(ResidencyError::Differs(format!("{why}: {ANEW}"))),
        }
    }

    /// Brings what there is, compares all of it, and brings what came meanwhile, so that while writers wait there is little to bring and
    /// to compare; answers whether that was all.
    async fn all_but_the_rest(
        &self,
        found: &Move,
        courier: &Courier,
        (way, before): (&'static str, Option<Proof>),
    ) -> Result<bool, ResidencyError> {
        let Some(proof) = self.rounds(found, courier, (way, before)).await? else { return Ok(false) };
        let is_forth = way == "forth";
        if is_forth && !self.old_months(found, courier).await? {
            return Ok(false);
        }
        let goes_on = |compared| {
            self.tell("comparing rows", compared);
            !self.job.should_stop()
        };
        if !courier.settle_before(&proof.horizon, &goes_on).await? {
            return Ok(false);
        }
        let proof = Proof { compared: Some(proof.horizon.clone()), ..proof };
        self.keep(found, way, &proof).await?;
        let is_whole = self.rounds(found, courier, (way, Some(proof))).await?.is_some();
        // A month may have left the tables meanwhile.
        Ok(is_whole && (!is_forth || self.old_months(found, courier).await?))
    }

    async fn keep(&self, found: &Move, way: &'static str, proof: &Proof) -> Result<(), ResidencyError> {
        self.store_proof(found.id, (way, &json!(proof)), Some(self.residency.clock.now())).await
    }

    /// Brings what there is in rounds, each of what came since the one before, and proves the statements; `None` where it is to stop.
    async fn rounds(
        &self,
        found: &Move,
        courier: &Courier,
        (way, mut proof): (&'static str, Option<Proof>),
    ) -> Result<Option<Proof>, ResidencyError> {
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            let (after, rows) = self.round(courier, proof.as_ref()).await?;
            self.keep(found, way, &after).await?;
            let known = proof.as_ref().map_or(0, |proof| proof.statements);
            let brought = rows + after.statements.saturating_sub(known);
            proof = Some(after);
            if self.job.should_stop() {
                return Ok(None);
            }
            if brought < FEW && begun.elapsed() < SOON {
                break;
            }
        }
        Ok(proof)
    }

    /// One round: all rows since the proof, then what they come to. Answers the new proof and how many other rows came.
    async fn round(&self, courier: &Courier, before: Option<&Proof>) -> Result<(Proof, u64), ResidencyError> {
        let (horizon, through) = edge(&courier.from, courier.tenant).await?;
        let rest = Proof::rest(before, through);
        courier.months(rest.after).await?;
        let since = before.map(|proof| proof.horizon.as_str());
        let rows = courier.tables(since, &|done| self.tell("copying rows", done)).await?.changed;
        courier.statements(rest, &|done| self.tell("copying statements", done)).await?;
        let absent: Vec<Month> = courier.absent().await?.iter().map(|one| one.month).collect();
        let months = courier.prove(rest, &absent).await?;
        let before = before.cloned().unwrap_or_else(Proof::nothing).but(&absent);
        let grown = before.with(&months, through, horizon).ok_or_else(unreadable)?;
        Ok((grown, rows))
    }

    /// Waits for who was writing, brings the rest, and finds the two the same to the last row.
    pub async fn bring_rest(
        &mut self,
        found: &Move,
        courier: Courier,
        way: &'static str,
    ) -> Result<(), ResidencyError> {
        drained(&courier.from).await?;
        last_words(&courier.from, courier.tenant).await?;
        let before = match way {
            "forth" => Proof::kept(found.proof.as_ref(), way),
            _ => Proof::kept(found.proof.as_ref(), way).or_else(|| Proof::kept(found.proof.as_ref(), "opened")),
        };
        let (since, todo) = match (way, &before) {
            ("back", Some(proof)) => {
                (proof.through.min(found.changed_at), "what is here still would be back, so the tenant stays there")
            }
            _ => (found.created_at, ANEW),
        };
        courier.nobody_was_erased(since, todo).await?;
        let through = courier.ledger_now(&courier.from).await?;
        let rest = Proof::rest(before.as_ref(), through);
        courier.months(rest.after).await?;
        let since = before.as_ref().and_then(|proof| proof.compared.as_deref());
        let brought = courier.tables(since, &|_| ()).await?;
        courier.statements(rest, &|_| ()).await?;
        if way == "forth" {
            self.must_be_what_went(&courier, &Went::all(found.proof.as_ref())).await?;
        }
        let months = courier.prove(rest, &[]).await?;
        courier.settle(since, &brought).await?;
        // What is stored there from now on is stored later than all that came.
        while courier.ledger_now(&courier.to).await? <= through {
            tokio::time::sleep(TICK).await;
        }
        let horizon = before.as_ref().map_or_else(String::new, |proof| proof.horizon.clone());
        let whole = before.unwrap_or_else(Proof::nothing).with(&months, through, horizon).ok_or_else(unreadable)?;
        self.keep(found, way, &whole).await?;
        self.same = Some(true);
        Ok(())
    }

    pub async fn store_proof(
        &self,
        id: Uuid,
        part: (&str, &Value),
        at: Option<DateTime<Utc>>,
    ) -> Result<(), ResidencyError> {
        Ok(self.store.run_tx("move_proof", As::Worker, |tx| Box::pin(moves::prove(tx, id, part, at))).await?)
    }
}

fn unreadable() -> ResidencyError {
    ResidencyError::Differs("what was proven before cannot be read".to_owned())
}
