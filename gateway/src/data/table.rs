//! A month of statements, or all of them, as the engine's tables, within the reach of one login.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    arrow::{compute::SortOptions, datatypes::SchemaRef},
    catalog::{SchemaProvider, Session, TableProvider},
    common::Result,
    datasource::TableType,
    logical_expr::{Expr, TableProviderFilterPushDown},
    physical_expr::{LexOrdering, PhysicalSortExpr, expressions::Column},
    physical_plan::{ExecutionPlan, streaming::PartitionStream, streaming::StreamingTableExec},
};
use progress_service::{model::partition::Month, objects::segment::Segment};

use super::{columns, filters::Narrow, reach::Reach, scan::Scan, shelf::Shelf};
use crate::fault::Fault;

/// The schema that holds the tables.
pub const SCHEMA: &str = "archive";
const ALL: &str = "statements";
/// So many segments are read in their order side by side; more of them one after the other, in so many rows of them.
const SIDE_BY_SIDE: usize = 8;
const ROWS_OF_THEM: usize = 2;

/// Which months a table of this name has; `None` where there is no such table.
pub fn months_of(name: &str) -> Option<Option<Month>> {
    if name == ALL {
        return Some(None);
    }
    let month = name.strip_prefix(ALL)?.strip_prefix('_')?;
    let (year, month) = month.split_once('_')?;
    format!("{year}-{month}").parse().ok().map(Some)
}

/// The tables of one login.
#[derive(Clone)]
pub struct Tables {
    pub shelf: Shelf,
    pub reach: Reach,
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tables({:?})", self.reach)
    }
}

impl Tables {
    /// The segments of a table.
    pub async fn segments(&self, name: &str) -> Result<Vec<Segment>, Fault> {
        let months = months_of(name).ok_or_else(|| Fault::no_table(name))?;
        self.shelf.segments(&self.reach, months).await?.ok_or_else(|| Fault::no_table(name))
    }
}

#[async_trait]
impl SchemaProvider for Tables {
    fn table_names(&self) -> Vec<String> {
        vec![ALL.to_owned()]
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let segments = self.segments(name).await?;
        Ok(Some(Arc::new(Table { shelf: self.shelf.clone(), segments })))
    }

    fn table_exist(&self, name: &str) -> bool {
        months_of(name).is_some()
    }
}

struct Table {
    shelf: Shelf,
    segments: Vec<Segment>,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({} segments)", self.segments.len())
    }
}

#[async_trait]
impl TableProvider for Table {
    fn schema(&self) -> SchemaRef {
        columns::schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let narrow = Narrow::by(filters);
        let schema = match projection {
            Some(columns) => Arc::new(columns::schema().project(columns)?),
            None => columns::schema(),
        };
        let segments: Vec<Segment> = self.segments.iter().filter(|one| may_answer(one, &narrow)).cloned().collect();
        let one_by_one = segments.len() <= SIDE_BY_SIDE;
        let rows = if one_by_one { segments.len().max(1) } else { ROWS_OF_THEM };
        let share = segments.len().div_ceil(rows).max(1);
        let mut partitions: Vec<Arc<dyn PartitionStream>> = segments
            .chunks(share)
            .map(|some| Arc::new(Scan::new(&self.shelf, some, &schema, &narrow)) as Arc<dyn PartitionStream>)
            .collect();
        if partitions.is_empty() {
            partitions.push(Arc::new(Scan::new(&self.shelf, &[], &schema, &narrow)));
        }
        let order = if one_by_one { by_stored(&schema) } else { None };
        Ok(Arc::new(StreamingTableExec::try_new(schema, partitions, None, order, false, limit)?))
    }
}

fn may_answer(segment: &Segment, narrow: &Narrow) -> bool {
    let manifest = segment.manifest();
    let of_tenant = narrow.tenants.as_ref().is_none_or(|tenants| tenants.contains(&manifest.place.tenant.0));
    let (first, last) = (manifest.summary.first_stored, manifest.summary.last_stored);
    of_tenant
        && narrow.span.since.is_none_or(|since| last > since)
        && narrow.span.until.is_none_or(|until| first <= until)
}

/// The order of a segment, as far as its columns are read.
fn by_stored(schema: &SchemaRef) -> Option<LexOrdering> {
    let ascending = SortOptions { descending: false, nulls_first: false };
    let sort = |name: &str| {
        let at = schema.index_of(name).ok()?;
        Some(PhysicalSortExpr { expr: Arc::new(Column::new(name, at)), options: ascending })
    };
    let stored = sort("stored")?;
    LexOrdering::new([Some(stored), sort("id")].into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_month_or_all() {
        assert_eq!(months_of("statements"), Some(None));
        assert_eq!(months_of("statements_2026_03"), Some("2026-03".parse().ok()));
        for other in ["statements_2026_13", "statements_2026-03", "statements_", "relations", "statementsx"] {
            assert_eq!(months_of(other), None, "{other}");
        }
    }
}
