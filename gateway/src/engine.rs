//! The engine: plans queries that were found fit, and runs them within one budget of memory, disk and open queries.

use std::{path::Path, sync::Arc};

use datafusion::{
    catalog::{CatalogProvider, MemoryCatalogProvider},
    common::ParamValues,
    execution::{
        SendableRecordBatchStream, SessionStateBuilder,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::FairSpillPool,
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    prelude::{SessionConfig, SessionContext},
    sql::{parser, sqlparser::ast},
};
use progress_service::config;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    data::table::{SCHEMA, Tables},
    fault::Fault,
    sql::rewrite::Ready,
};

/// Rows of a batch inside the engine: payloads may be large.
const BATCH_ROWS: usize = 1_024;
/// Pieces of a query that compute side by side.
const SIDE_BY_SIDE: usize = 2;

/// Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    runtime: Arc<RuntimeEnv>,
    turns: Arc<Semaphore>,
    max_queries: usize,
}

/// A query that runs; it counts as open until it is dropped.
pub struct Running {
    pub batches: SendableRecordBatchStream,
    _turn: OwnedSemaphorePermit,
}

impl Engine {
    pub fn new(gateway: &config::Gateway, spill: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(spill)?;
        let disk = DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::Directories(vec![spill.to_owned()]))
            .with_max_temp_directory_size(gateway.spill.0 as u64);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(gateway.memory.0)))
            .with_disk_manager_builder(disk)
            .build_arc()?;
        let max_queries = gateway.max_queries;
        Ok(Self { runtime, turns: Arc::new(Semaphore::new(max_queries)), max_queries })
    }

    /// Begins a query over the tables of a login.
    pub async fn run(&self, tables: &Tables, ready: Ready) -> Result<Running, Fault> {
        let turn = Arc::clone(&self.turns).try_acquire_owned().map_err(|_| {
            Fault::new(
                "53400",
                format!("{} queries are open, and gateway.max_queries allows no more", self.max_queries),
            )
            .hint("Try again when others are done, or give the gateway more.")
        })?;
        let state = self.session(tables)?.state();
        let statement = parser::Statement::Statement(Box::new(ast::Statement::Query(Box::new(ready.query))));
        let plan = state.statement_to_plan(statement).await?;
        let plan = plan.with_param_values(ParamValues::from(ready.values))?;
        let plan = state.create_physical_plan(&plan).await?;
        let batches = datafusion::physical_plan::execute_stream(plan, state.task_ctx())?;
        Ok(Running { batches, _turn: turn })
    }

    fn session(&self, tables: &Tables) -> Result<SessionContext, Fault> {
        let mut config = SessionConfig::new()
            .with_batch_size(BATCH_ROWS)
            .with_target_partitions(SIDE_BY_SIDE)
            .with_default_catalog_and_schema("progress", SCHEMA)
            .with_create_default_catalog_and_schema(false);
        config.options_mut().execution.sort_spill_reservation_bytes = 1 << 20;
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(Arc::clone(&self.runtime))
            .with_default_features();
        let context = SessionContext::new_with_state(state.build());
        let catalog = MemoryCatalogProvider::new();
        catalog.register_schema(SCHEMA, Arc::new(tables.clone()))?;
        context.register_catalog("progress", Arc::new(catalog));
        Ok(context)
    }
}
