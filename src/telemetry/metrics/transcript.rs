//! Transcripts as PDF: how long they take, and what no font could show.

use prometheus::{Histogram, HistogramOpts, IntCounter};

use super::{SECONDS, register, registry::Registry};

#[derive(Debug)]
pub struct TranscriptMetrics {
    pub seconds: Histogram,
    /// Characters for which no font has a glyph.
    pub missing_glyphs: IntCounter,
    /// PDFs that were not done in time.
    pub late: IntCounter,
}

impl TranscriptMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let seconds = HistogramOpts::new("progress_transcript_pdf_seconds", "time to set one transcript");
        let missing = "characters in transcripts that no font could show";
        let late = "transcripts that were not set within `transcript.deadline`";
        Ok(Self {
            late: register(registry, IntCounter::new("progress_transcript_late_total", late))?,
            seconds: register(registry, Histogram::with_opts(seconds.buckets(SECONDS.to_vec())))?,
            missing_glyphs: register(registry, IntCounter::new("progress_transcript_missing_glyphs_total", missing))?,
        })
    }
}
