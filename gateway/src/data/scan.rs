//! Some segments, one after the other, as a stream of record batches.

use std::{fmt, sync::Arc};

use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    error::DataFusionError,
    execution::TaskContext,
    physical_plan::{SendableRecordBatchStream, stream::RecordBatchStreamAdapter, streaming::PartitionStream},
};
use futures_util::stream;
use progress_service::objects::segment::{Columns, Segment, SegmentError};
use tokio::runtime::Handle;

use super::{columns::fill, filters::Narrow, shelf::Shelf};
use crate::fault::Fault;

pub struct Scan {
    shelf: Shelf,
    segments: Vec<Segment>,
    schema: SchemaRef,
    narrow: Narrow,
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scan({} segments)", self.segments.len())
    }
}

impl Scan {
    pub fn new(shelf: &Shelf, segments: &[Segment], schema: &SchemaRef, narrow: &Narrow) -> Self {
        let (segments, schema) = (segments.to_vec(), Arc::clone(schema));
        Self { shelf: shelf.clone(), segments, schema, narrow: narrow.clone() }
    }
}

impl PartitionStream for Scan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut names: Vec<String> = self.schema.fields().iter().map(|field| field.name().clone()).collect();
        if names.is_empty() {
            // Rows are counted by a column that is cheap to read.
            names.push("stored".to_owned());
        }
        let reading = Reading {
            shelf: self.shelf.clone(),
            left: self.segments.clone().into_iter(),
            names,
            schema: Arc::clone(&self.schema),
            narrow: self.narrow.clone(),
            open: None,
        };
        let batches =
            stream::try_unfold(reading, |reading| async { reading.step().await.map_err(DataFusionError::from) });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

struct Reading {
    shelf: Shelf,
    left: std::vec::IntoIter<Segment>,
    names: Vec<String>,
    schema: SchemaRef,
    narrow: Narrow,
    open: Option<Columns>,
}

impl Reading {
    /// One batch, and what is left.
    async fn step(mut self) -> Result<Option<(RecordBatch, Self)>, Fault> {
        loop {
            if let Some(columns) = self.open.take() {
                // Held for one batch: whoever reads slowly keeps nobody from reading.
                let turn = Arc::clone(&self.shelf.reads).acquire_owned().await;
                let (columns, batch) = next(columns).await?;
                drop(turn);
                if let Some(batch) = batch? {
                    self.open = Some(columns);
                    return Ok(Some((fill(&batch, &self.schema)?, self)));
                }
            }
            let Some(segment) = self.left.next() else { return Ok(None) };
            self.open = Some(Columns::of(&segment, self.names.clone(), &self.narrow.filter, &self.narrow.span));
        }
    }
}

/// The next batch, fetched and decoded on a thread that may be busy for a while.
async fn next(mut columns: Columns) -> Result<(Columns, Result<Option<RecordBatch>, SegmentError>), Fault> {
    let runtime = Handle::current();
    let work = move || {
        let batch = runtime.block_on(columns.next());
        (columns, batch)
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| Fault::new("XX000", error.to_string()))
}
