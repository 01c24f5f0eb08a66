//! A query, and the place in its answer.

use datafusion::arrow::array::RecordBatch;
use futures_util::StreamExt;

use super::{
    rows,
    talk::{Talk, Trouble},
};
use crate::{
    data::table::Tables,
    engine::{Engine, Running},
    fault::Fault,
    sql::{rewrite::Ready, scope::Outputs},
};

/// It begins when the first row is asked for.
pub struct Cursor {
    ready: Ready,
    running: Option<Running>,
    batch: Option<(RecordBatch, usize)>,
    ended: bool,
}

impl Cursor {
    pub fn new(ready: Ready) -> Self {
        Self { ready, running: None, batch: None, ended: false }
    }

    pub fn outputs(&self) -> &Outputs {
        &self.ready.outputs
    }

    /// Whether the last row was sent.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    pub fn rewind(&mut self) {
        (self.running, self.batch, self.ended) = (None, None, false);
    }

    /// Sends the next rows, and says how many they were.
    pub async fn send(
        &mut self,
        talk: &mut Talk,
        engine: &Engine,
        tables: &Tables,
        most: Option<u64>,
    ) -> Result<u64, Trouble> {
        let mut sent = 0;
        while most.is_none_or(|most| sent < most) {
            match &mut self.batch {
                Some((batch, at)) if *at < batch.num_rows() => {
                    talk.row(rows::row(batch, *at)?).await?;
                    *at += 1;
                    sent += 1;
                }
                _ if self.ended => break,
                _ => self.advance(talk, engine, tables).await?,
            }
        }
        Ok(sent)
    }

    async fn advance(&mut self, talk: &mut Talk, engine: &Engine, tables: &Tables) -> Result<(), Trouble> {
        self.batch = None;
        let (running, ready) = (&mut self.running, &self.ready);
        let next = talk.unless_cancelled(async {
            let running = match running {
                Some(running) => running,
                None => running.insert(engine.run(tables, ready.clone()).await?),
            };
            running.batches.next().await.transpose().map_err(Fault::from)
        });
        match next.await? {
            Some(batch) => self.batch = Some((batch, 0)),
            // Its turn is for others.
            None => (self.running, self.ended) = (None, true),
        }
        Ok(())
    }
}
