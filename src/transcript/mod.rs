//! What a learner achieved, as a document: progress and transcripts as data, and a transcript as a PDF to keep.
//!
//! Rows come in, a document goes out. Nothing here asks a database or knows a request.

mod fonts;
pub mod model;
mod pages;
mod pdf;
mod setting;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

pub use model::{Attempt, Completion, Course, Learner, OverallState, Progress, Transcript};
use setting::Setter;

use crate::telemetry::Metrics;

/// Why there is no PDF.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    #[error("the document cannot be written: {0}")]
    Document(String),
    #[error("setting the document was cut off: {0}")]
    Cut(#[from] tokio::task::JoinError),
}

/// Prints transcripts, one at a time. Fonts are looked for at the first one.
#[derive(Clone)]
pub struct Press {
    fonts: Option<PathBuf>,
    setter: Arc<Mutex<Option<Setter>>>,
    metrics: Metrics,
}

impl Press {
    /// `fonts` is a folder with fonts beside the built-in ones and the system's.
    pub fn new(fonts: Option<PathBuf>, metrics: &Metrics) -> Self {
        Self { fonts, setter: Arc::default(), metrics: metrics.clone() }
    }

    /// The transcript as a PDF.
    pub async fn print(&self, transcript: Transcript) -> Result<Vec<u8>, PrintError> {
        let press = self.clone();
        // Setting a long transcript takes a core for a while; no listener's thread should be that core.
        tokio::task::spawn_blocking(move || press.print_blocking(&transcript)).await?
    }

    /// The same on this thread, which it keeps busy for as long as it takes.
    pub fn print_blocking(&self, transcript: &Transcript) -> Result<Vec<u8>, PrintError> {
        let _timer = self.metrics.transcript.seconds.start_timer();
        let mut setter = self.setter.lock().unwrap_or_else(PoisonError::into_inner);
        let setter = setter.get_or_insert_with(|| Setter::new(fonts::load(self.fonts.as_deref(), true)));
        let (pdf, missing) = pdf::write(transcript, setter)?;
        if missing > 0 {
            self.metrics.transcript.missing_glyphs.inc_by(missing as u64);
            tracing::warn!(characters = missing, "a transcript has characters that no installed font can show");
        }
        Ok(pdf)
    }
}
