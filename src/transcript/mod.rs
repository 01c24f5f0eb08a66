//! What a learner achieved, as a document: progress and transcripts as data, and a transcript as a PDF to keep.
//!
//! Rows come in, a document goes out. Nothing here asks a database or knows a request.

mod fonts;
pub mod model;
mod pages;
mod pdf;
mod receipt;
mod setting;
pub mod short;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use cosmic_text::fontdb::Database;

pub use model::{Attempt, Completion, Course, EnrollmentProgress, Learner, OverallState, Transcript, UnitProgress};
use setting::Setter;

use crate::{audit::Receipt, telemetry::Metrics};

/// Why there is no PDF.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    #[error("the document cannot be written: {0}")]
    Document(String),
    #[error("the PDF was not done within {0:?}; send this again, or ask for the document as JSON (format=json)")]
    Late(Duration),
}

/// Prints transcripts. Fonts are looked for at the first one.
#[derive(Clone)]
pub struct Press {
    folder: Option<PathBuf>,
    deadline: Duration,
    kept: Arc<Mutex<Kept>>,
    metrics: Metrics,
}

/// What is used again: the fonts, and for each transcript that was under way at the same time a setter.
#[derive(Default)]
struct Kept {
    fonts: Option<Database>,
    idle: Vec<Setter>,
}

impl Press {
    /// `folder` has fonts beside the built-in ones and the system's; `deadline` is for one transcript.
    pub fn new(folder: Option<PathBuf>, deadline: Duration, metrics: &Metrics) -> Self {
        Self { folder, deadline, kept: Arc::default(), metrics: metrics.clone() }
    }

    /// The transcript as a PDF. Keeps this thread busy for as long as it takes, but no longer than the deadline.
    pub fn print(&self, transcript: Transcript) -> Result<Vec<u8>, PrintError> {
        self.set(|setter, until| pdf::write(transcript, setter, until))
    }

    /// The receipt of an entry of the audit trail as a PDF, on the same terms.
    pub fn print_receipt(&self, receipt: &Receipt) -> Result<Vec<u8>, PrintError> {
        self.set(|setter, until| receipt::write(receipt, setter, until))
    }

    fn set(
        &self,
        write: impl FnOnce(&mut Setter, Instant) -> Result<(Vec<u8>, usize), pdf::Unwritten>,
    ) -> Result<Vec<u8>, PrintError> {
        let _timer = self.metrics.transcript.seconds.start_timer();
        let mut setter = self.setter();
        let printed = write(&mut setter, Instant::now() + self.deadline);
        self.kept().idle.push(setter);
        let (pdf, missing) = printed.map_err(|error| match error {
            pdf::Unwritten::Late => {
                self.metrics.transcript.late.inc();
                PrintError::Late(self.deadline)
            }
            pdf::Unwritten::Document(why) => PrintError::Document(why),
        })?;
        if missing > 0 {
            self.metrics.transcript.missing_glyphs.inc_by(missing as u64);
            tracing::warn!(characters = missing, "a document has characters that no installed font can show");
        }
        Ok(pdf)
    }

    /// One that nobody uses.
    fn setter(&self) -> Setter {
        let mut kept = self.kept();
        if let Some(setter) = kept.idle.pop() {
            return setter;
        }
        let fonts = kept.fonts.get_or_insert_with(|| fonts::load(self.folder.as_deref(), true));
        Setter::new(fonts.clone())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
