//! Whose the archive is: before anything is published or deleted, this database says who it is, and leaves a word that only it can
//! know the next time. A copy of it, however it was made, is refused until a person runs `archive adopt`.
//!
//! What can be told: a dump that was read in elsewhere and a database made from another's template, by the server's own number and
//! the database's; a copy of the server's files, or an old backup of them, as soon as the original has spoken again. A copy of the
//! files that speaks first is taken for the original, and the original is refused: so give a copy another `archive.url`.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Archive, ArchiveError, OWNERS};
use crate::{
    objects::{ObjectsError, segment::Owner},
    store::{
        As,
        platform::installation::{self, Installation},
    },
};

/// The leave to change something in the archive, for a while. Only [`Archive::claim`] gives it.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    owner: Owner,
}

impl Claim {
    pub fn owner(&self) -> Owner {
        self.owner
    }
}

/// What lies in the archive for everybody to see.
#[derive(Debug, Serialize, Deserialize)]
struct Word {
    kind: String,
    installation: Uuid,
    epoch: i64,
    word: Uuid,
}

const KIND: &str = "progress-service archive owner";

fn key(installation: Uuid) -> String {
    format!("{OWNERS}/{installation}.json")
}

impl Archive {
    /// Who this database is, right or wrong.
    pub async fn installation(&self) -> Result<Installation, ArchiveError> {
        Ok(self.store.run_tx("installation", As::Worker, |tx| Box::pin(installation::this(tx))).await?)
    }

    /// Whether this database is the one whose the archive is; leaves a new word where it is.
    pub async fn claim(&self) -> Result<Claim, ArchiveError> {
        let own = self.installation().await?;
        if !own.is_here {
            return Err(ArchiveError::NotHere { installation: own.id, epoch: own.epoch });
        }
        self.must_be_ours(&own).await?;
        let owner = Owner { installation: own.id, epoch: own.epoch.unsigned_abs() };
        self.speak(&own).await?;
        Ok(Claim { owner })
    }

    async fn must_be_ours(&self, own: &Installation) -> Result<(), ArchiveError> {
        let Some(there) = self.word(own.id).await? else { return Ok(()) };
        if there.epoch != own.epoch {
            return Err(ArchiveError::OtherEpoch { installation: own.id, found: there.epoch, own: own.epoch });
        }
        // The one before lies there where the last one did not get so far.
        if Some(there.word) == own.word || Some(there.word) == own.word_before {
            return Ok(());
        }
        Err(ArchiveError::Stale { installation: own.id })
    }

    async fn word(&self, installation: Uuid) -> Result<Option<Word>, ArchiveError> {
        let key = key(installation);
        let bytes = match self.objects.get(&key).await {
            Ok(bytes) => bytes,
            Err(ObjectsError::NotFound(_)) => return Ok(None),
            Err(source) => return Err(ArchiveError::Objects { key, doing: "read", source }),
        };
        let foreign = |rule: String| ArchiveError::NoWord { key: key.clone(), rule };
        let word: Word = serde_json::from_slice(&bytes).map_err(|e| foreign(e.to_string()))?;
        if word.kind != KIND || word.installation != installation {
            return Err(foreign("its kind or its installation is another".to_owned()));
        }
        Ok(Some(word))
    }

    /// The database remembers the word first: one that does not get as far as the archive is not needed there.
    pub(super) async fn speak(&self, own: &Installation) -> Result<(), ArchiveError> {
        let (epoch, before, word) = (own.epoch, own.word, self.ids.uuid());
        let said =
            self.store.run_once("say", As::Worker, |tx| Box::pin(installation::say(tx, epoch, before, word))).await?;
        if !said {
            // Another job of this installation has just spoken.
            return Ok(());
        }
        let (key, word) = (key(own.id), Word { kind: KIND.to_owned(), installation: own.id, epoch, word });
        let text =
            serde_json::to_vec(&word).map_err(|e| ArchiveError::NoWord { key: key.clone(), rule: e.to_string() })?;
        let left = self.objects.put(&key, Bytes::from(text)).await;
        left.map_err(|source| ArchiveError::Objects { key, doing: "written", source })
    }
}
