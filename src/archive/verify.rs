//! Reading published segments again, every byte and every row, at any time: what is damaged is found while something can be done.

use serde_json::{Value, json};

use super::{Archive, ArchiveError, place, run::Tell};
use crate::{model::partition::Month, objects::segment, store::ledger::segments::Segment};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub segments: u64,
    pub statements: u64,
    /// The place of each segment that is not as it should be, and why.
    pub problems: Vec<(String, String)>,
}

impl Report {
    pub fn to_json(&self) -> Value {
        let problem = |(at, why): &(String, String)| json!({ "segment": at, "problem": why });
        let problems: Vec<Value> = self.problems.iter().map(problem).collect();
        json!({ "segments": self.segments, "statements": self.statements, "problems": problems })
    }
}

impl Archive {
    /// Looks at every published segment, of a month or of all. A storage that is away is no finding, but an error.
    pub async fn verify(&self, month: Option<Month>, tell: Tell<'_>) -> Result<Report, ArchiveError> {
        let mut report = Report::default();
        for segment in self.published(month).await? {
            report.segments += 1;
            match self.verify_one(&segment).await {
                Ok(rows) => {
                    report.statements += rows;
                    tell(rows);
                }
                Err(error) if error.is_passing() => return Err(error),
                Err(error) => {
                    self.metrics.archive.damaged();
                    report.problems.push((place(&segment.name).to_string(), error.to_string()));
                }
            }
        }
        Ok(report)
    }

    /// How many published segments there are, and those of which an object is missing or has another size: nothing of them is read.
    pub async fn absent(&self) -> Result<(u64, Vec<String>), ArchiveError> {
        let (mut looked_at, mut absent) = (0, Vec::new());
        for segment in self.published(None).await? {
            looked_at += 1;
            let at = place(&segment.name);
            match self.is_there(&segment).await {
                Ok(()) => {}
                Err(error) if error.is_passing() => return Err(error),
                Err(error) => absent.push(format!("{at}: {error}")),
            }
        }
        Ok((looked_at, absent))
    }

    async fn is_there(&self, row: &Segment) -> Result<(), ArchiveError> {
        for part in self.manifest(row).await?.parts {
            let asked = self.objects.size(&part.key).await;
            let bytes = asked.map_err(|source| ArchiveError::Objects { key: part.key, doing: "looked at", source })?;
            if bytes != part.bytes {
                let (tenant, month) = (row.name.tenant, row.name.month);
                let rule = format!("its object has {bytes} bytes, and {} were written", part.bytes);
                return Err(ArchiveError::OtherManifest { tenant, month, rule });
            }
        }
        Ok(())
    }

    async fn verify_one(&self, row: &Segment) -> Result<u64, ArchiveError> {
        let manifest = self.manifest(row).await?;
        let sound = segment::audit(&self.objects, manifest, &self.aside).await?;
        Ok(sound.manifest().summary.rows)
    }
}
