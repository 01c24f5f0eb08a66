//! What is left when the statements are gone: documents, names, launches, contents and words that nobody else uses, and what the
//! projections have.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{ErasureError, Stepped, find::Scopes, work::Work};
use crate::{
    model::{erasure::Mentions, partition::Month},
    objects::segment::{Condition, Filter, Key, Row},
    store::{
        As,
        ledger::{away::Published, belongings, erasures, statements::related_form, tables::Tables},
        progress::{activity, erasing as projected},
    },
};

/// Keys that are looked for together.
const TOGETHER: usize = 1_000;

impl Work<'_> {
    /// Removes what belongs to the person beside statements.
    pub async fn belongings(&self) -> Result<(), ErasureError> {
        self.tell(0, "removing documents, names and contents");
        self.documents().await?;
        self.names().await?;
        self.words().await?;
        self.contents().await
    }

    async fn documents(&self) -> Result<(), ErasureError> {
        let (of, store, keys) = (self.of(), &self.job.store, &self.person.keys());
        let mut pages = Scopes::of(&self.person);
        while let Some(scopes) = pages.next(&self.erasures).await? {
            let deleting = store.run_once("erase_documents", As::Worker, |tx| {
                let scopes = &scopes;
                Box::pin(async move {
                    self.as_eraser(tx).await?;
                    let gone = belongings::delete_documents(tx, of.0, keys, scopes).await?;
                    belongings::as_worker(tx).await?;
                    Ok::<_, ErasureError>(erasures::tally(tx, of, "documents", gone).await?)
                })
            });
            deleting.await?;
        }
        Ok(())
    }

    /// Names go unless somebody still mentions them, and launches in any case.
    async fn names(&self) -> Result<(), ErasureError> {
        let (of, store, person) = (self.of(), &self.job.store, &self.person);
        let keeps = self.erasure.policy.mentions == Mentions::Keep;
        let keys = &person.keys();
        let forgetting = store.run_once("erase_names", As::Worker, |tx| {
            Box::pin(async move {
                let launches = belongings::launches(tx, of.0, &|ifi| person.is_them(ifi)).await?;
                self.as_eraser(tx).await?;
                let launches = belongings::forget_launches(tx, of.0, &launches).await?;
                let agents = if keeps { 0 } else { belongings::forget_agents(tx, of.0, keys).await? };
                belongings::as_worker(tx).await?;
                erasures::tally(tx, of, "launches", launches).await?;
                Ok::<_, ErasureError>(erasures::tally(tx, of, "agents", agents).await?)
            })
        });
        forgetting.await
    }

    /// Activities and verbs that no statement uses any more go with what was said of them.
    async fn words(&self) -> Result<(), ErasureError> {
        let (of, store, learned) = (self.of(), &self.job.store, self.learned());
        let all: Vec<Uuid> = learned.activities.union(&learned.verbs).copied().collect();
        for some in all.chunks(TOGETHER) {
            let mut unused: BTreeSet<Uuid> = some.iter().copied().collect();
            for tables in [Tables::Hot, Tables::Detached] {
                let keys: &Vec<Uuid> = &unused.iter().copied().collect();
                let used = store.run_tx("used_words", As::Worker, |tx| {
                    Box::pin(async move {
                        let mut used = belongings::used_activities(tx, of.0, tables, keys).await?;
                        used.extend(belongings::used_verbs(tx, of.0, tables, keys).await?);
                        Ok::<_, ErasureError>(used)
                    })
                });
                used.await?.iter().for_each(|key| _ = unused.remove(key));
            }
            self.still_archived(&mut unused).await?;
            let keys: &Vec<Uuid> = &unused.into_iter().collect();
            let forgetting = store.run_once("erase_words", As::Worker, |tx| {
                Box::pin(async move {
                    self.as_eraser(tx).await?;
                    let gone = belongings::forget_words(tx, of.0, keys, keys).await?;
                    belongings::as_worker(tx).await?;
                    Ok::<_, ErasureError>(erasures::tally(tx, of, "words", gone).await?)
                })
            });
            forgetting.await?;
        }
        Ok(())
    }

    /// Takes those away that a statement in a segment uses.
    async fn still_archived(&self, unused: &mut BTreeSet<Uuid>) -> Result<(), ErasureError> {
        if unused.is_empty() {
            return Ok(());
        }
        let keys: Vec<Uuid> = unused.iter().copied().collect();
        let relations: Vec<Uuid> = keys.iter().map(|key| related_form(*key)).collect();
        let asked = [
            Condition { column: Key::Activity, keys: keys.clone(), relations },
            Condition { column: Key::Verb, keys, relations: Vec::new() },
        ];
        for condition in asked {
            let filter = Filter { conditions: vec![condition], moments: None };
            let mut each = |_: &Published, row: Row| {
                row.activity_key.iter().chain([&row.verb_key]).for_each(|key| _ = unused.remove(key));
                row.relations.iter().for_each(|form| _ = unused.remove(&related_form(*form)));
            };
            self.erasures.cold.sift(self.erasure.tenant, (&filter, None), &mut each).await?;
        }
        Ok(())
    }

    /// Contents of attachments that no statement names any more.
    async fn contents(&self) -> Result<(), ErasureError> {
        let (of, store, learned) = (self.of(), &self.job.store, self.learned());
        let hashes: &Vec<Vec<u8>> = &learned.contents.iter().filter_map(|text| hex::decode(text).ok()).collect();
        if hashes.is_empty() {
            return Ok(());
        }
        let brought = store.run_tx("brought", As::Worker, |tx| Box::pin(belongings::brought(tx, of.0, hashes)));
        let mut left: Vec<(String, DateTime<Utc>)> =
            brought.await?.into_iter().map(|(sha2, since)| (hex::encode(sha2), since)).collect();
        self.named_in_segments(&mut left).await?;
        for (hash, since) in &left {
            let sha2 = &hex::decode(hash).unwrap_or_default();
            let forgetting = store.run_once("erase_content", As::Worker, |tx| {
                Box::pin(async move {
                    self.as_eraser(tx).await?;
                    let gone = belongings::forget_content(tx, of.0, sha2, *since).await?;
                    if !gone {
                        return Err(ErasureError::StillNamed);
                    }
                    belongings::as_worker(tx).await?;
                    Ok(erasures::tally(tx, of, "attachments", 1).await?)
                })
            });
            match forgetting.await {
                Err(ErasureError::StillNamed) => {}
                forgotten => forgotten?,
            }
        }
        Ok(())
    }

    /// Takes those away that a statement names which only a segment has: from the month on in which they were brought.
    async fn named_in_segments(&self, left: &mut Vec<(String, DateTime<Utc>)>) -> Result<(), ErasureError> {
        let Some(from) = left.iter().map(|(_, since)| Month::of(*since)).min() else { return Ok(()) };
        let mut each = |_: &Published, row: Row| {
            let text = row.payload.to_ascii_lowercase();
            left.retain(|(hash, _)| !text.contains(hash.as_str()));
        };
        self.erasures.cold.sift(self.erasure.tenant, (&Filter::default(), Some(from)), &mut each).await?;
        Ok(())
    }

    /// Removes the person's attempts; asks for those of others to be folded again, once.
    pub async fn projections(&self) -> Result<Option<Stepped>, ErasureError> {
        let (of, store, users, keys) = (self.of(), &self.job.store, &self.person.users(), &self.person.keys());
        let least = i64::from(self.erasures.least_people);
        let forgetting = store.run_once("erase_attempts", As::Worker, |tx| {
            Box::pin(async move {
                self.ask_the_law(tx).await?;
                let attempts = projected::attempts(tx, of.0, users).await?;
                let mut rows = projected::forget(tx, of.0, &attempts, least).await?;
                rows += activity::forget_learner(tx, of.0, keys).await?;
                erasures::tally(tx, of, "attempts", attempts.len() as u64).await?;
                Ok::<_, ErasureError>(erasures::tally(tx, of, "projectedRows", rows).await?)
            })
        });
        forgetting.await?;
        let attempts: Vec<String> = self.learned().attempts.into_iter().collect();
        Ok((!attempts.is_empty()).then_some(Stepped::Attempts { of, attempts }))
    }
}
