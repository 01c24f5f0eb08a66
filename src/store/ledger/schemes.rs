//! A month that is divided anew: copied beside itself, shown to be the same, and put in its own place in one moment.
//!
//! Until then everybody reads the month as it was; what is left of a copy that was broken off is gone on with, or removed.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::fills::Fill;
use crate::model::{
    partition::{Bounds, Month},
    scheme::Scheme,
};
use crate::store::{
    As, Store, StoreError, Tx,
    door::tx::{Param, column},
    platform::{
        audit::{self, Entry},
        leases,
    },
};

/// A month that is being divided anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Division {
    pub month: Month,
    pub scheme: Scheme,
    /// Everything stored before this moment is copied.
    pub copied_until: DateTime<Utc>,
    number: i64,
    is_detached: bool,
}

/// The copy of a month held against the month, from its beginning on.
#[derive(Debug)]
pub struct Comparison {
    division: Division,
    same_until: DateTime<Utc>,
}

/// Shown by a whole [`Comparison`] alone: the copy is what the month is, row by row.
#[derive(Debug)]
pub struct Same(Division);

impl Comparison {
    pub fn of(division: Division) -> Self {
        Self { division, same_until: division.month.begin() }
    }

    /// Nothing, where not all of the month was compared.
    pub fn finish(self) -> Option<Same> {
        (self.same_until == self.division.month.end()).then_some(Same(self.division))
    }
}

/// A month with how it is divided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divided {
    pub month: Month,
    pub state: String,
    pub scheme: Scheme,
}

const LIST: &str = "/* schemes::list */ SELECT lower_bound, state, scheme FROM ledger.partitions ORDER BY month";

/// All months with how they are divided, oldest first.
pub async fn list(tx: &Tx<'_>) -> Result<Vec<Divided>, StoreError> {
    let rows = tx.query(LIST, &[]).await?;
    let divided = |row: &tokio_postgres::Row| {
        let month = Month::of(column(row, "lower_bound")?);
        Ok(Divided { month, state: column(row, "state")?, scheme: scheme(column(row, "scheme")?)? })
    };
    rows.iter().map(divided).collect()
}

fn scheme(text: &str) -> Result<Scheme, StoreError> {
    text.parse().map_err(|detail| StoreError::Shape { name: "scheme", detail })
}

const BEGIN: &str = "/* schemes::begin */ SELECT ledger.begin_scheme($1 /* moment */, $2 /* scheme */) AS number";

const DIVISIONS: &str = "/* schemes::divisions */
    SELECT d.month::timestamp AT TIME ZONE 'UTC' AS begins, d.number, f.parents = 'detached' AS is_detached, d.scheme, d.copied_until
    FROM ledger.month_divisions d JOIN ledger.month_fills f USING (month, number) ORDER BY d.month";

/// The months that are being divided anew, or were.
pub async fn divisions(tx: &Tx<'_>) -> Result<Vec<Division>, StoreError> {
    let rows = tx.query(DIVISIONS, &[]).await?;
    let division = |row: &tokio_postgres::Row| {
        Ok(Division {
            month: Month::of(column(row, "begins")?),
            scheme: scheme(column(row, "scheme")?)?,
            copied_until: column(row, "copied_until")?,
            number: column(row, "number")?,
            is_detached: column(row, "is_detached")?,
        })
    };
    rows.iter().map(division).collect()
}

async fn begin(tx: &Tx<'_>, month: Month, scheme: Scheme) -> Result<Division, StoreError> {
    leases::check(tx).await?;
    let number: i64 = column(&tx.query_one(BEGIN, &[&month.begin(), &scheme.to_string()]).await?, "number")?;
    let begun = divisions(tx).await?.into_iter().find(|division| division.number == number);
    begun.ok_or_else(|| StoreError::Shape { name: "begin_scheme", detail: format!("{month} was not begun") })
}

/// A table that is copied, where its rows come from, and its columns.
struct Copied {
    copy: String,
    source: String,
    columns: String,
    /// What stands behind FROM, of either of them, for the rows of a part.
    rows: fn(&str, &str) -> String,
    range: Bounds,
}

const COLUMNS: &str = "/* schemes::columns */
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS columns FROM pg_attribute
    WHERE attrelid = to_regclass($1 /* table */) AND attnum > 0 AND NOT attisdropped";

/// The statements of the part, and with the first part all relations of the month: they have no index by which a part of them
/// would be found, and are few bytes.
async fn tables(tx: &Tx<'_>, division: &Division, part: Bounds) -> Result<Vec<Copied>, StoreError> {
    let month = Bounds::from(division.month);
    let mut wanted = vec![("statements", statements_of as fn(&str, &str) -> String, part)];
    if part.lower == month.lower {
        wanted.push(("relations", relations_of, month));
    }
    let mut tables = Vec::with_capacity(wanted.len());
    for (table, rows, range) in wanted {
        let copy = format!("ledger.filling_{table}_{}", division.month.begin().format("%Y_%m"));
        let source = format!("ledger.{}{table}", if division.is_detached { "detached_" } else { "" });
        let columns = column(&tx.query_one(COLUMNS, &[&copy]).await?, "columns")?;
        tables.push(Copied { copy, source, columns, rows, range });
    }
    Ok(tables)
}

/// From tenant to tenant along the index, and of each the part: else all of the month would be read for every part.
fn statements_of(from: &str, columns: &str) -> String {
    format!(
        "(WITH RECURSIVE tenants (tenant_id) AS (
              (SELECT tenant_id FROM {from} WHERE stored >= $3 AND stored < $4 ORDER BY tenant_id LIMIT 1)
              UNION ALL
              SELECT (SELECT s.tenant_id FROM {from} s WHERE s.tenant_id > t.tenant_id AND s.stored >= $3 AND s.stored < $4
                      ORDER BY s.tenant_id LIMIT 1) FROM tenants t WHERE t.tenant_id IS NOT NULL)
          SELECT r.* FROM tenants t CROSS JOIN LATERAL (
              SELECT {columns} FROM {from} s WHERE s.tenant_id = t.tenant_id AND s.stored >= $1 AND s.stored < $2 OFFSET 0) r) r"
    )
}

fn relations_of(from: &str, columns: &str) -> String {
    format!("(SELECT {columns} FROM {from} WHERE stored >= $1 AND stored < $2 AND stored >= $3 AND stored < $4) r")
}

/// What means to read a whole table is not to fetch each row from a page of its own by some index.
async fn read_whole(tx: &Tx<'_>, is_meant: bool) -> Result<(), StoreError> {
    let sql = if is_meant { "SET LOCAL enable_seqscan = on" } else { "SET LOCAL enable_seqscan = off" };
    tx.execute(sql, &[]).await.map(drop)
}

const MOVE_ON: &str = "/* schemes::move_on */
    UPDATE ledger.month_divisions SET copied_until = $4 /* until */
    WHERE month = ($1 /* begins */::timestamptz AT TIME ZONE 'UTC')::date AND number = $2 /* number */
      AND copied_until = $3 /* from */";

/// Copies what was stored in this part of the month, which begins where the copy ends.
async fn copy(tx: &Tx<'_>, division: &Division, part: Bounds) -> Result<Division, StoreError> {
    leases::check(tx).await?;
    let month = Bounds::from(division.month);
    let moved = tx.execute(MOVE_ON, &[&month.lower, &division.number, &part.lower, &part.upper]).await?;
    if moved == 0 {
        let detail = format!("somebody else divides the month {}, or nobody does any more", division.month);
        return Err(StoreError::Shape { name: "schemes::copy", detail });
    }
    for Copied { copy, source, columns, rows, range } in tables(tx, division, part).await? {
        read_whole(tx, range == month).await?;
        let from = rows(&source, &columns);
        let sql = format!("/* schemes::copy */ INSERT INTO {copy} ({columns}) SELECT {columns} FROM {from}");
        tx.execute(&sql, &[&range.lower, &range.upper, &month.lower, &month.upper]).await?;
    }
    Ok(Division { copied_until: part.upper, ..*division })
}

/// The number of rows, and two sums of their hashes: the order does not count, and twice the same is not none.
type Digest = (i64, String, String);

async fn digest(tx: &Tx<'_>, from: &str, params: &[Param<'_>]) -> Result<Digest, StoreError> {
    let sql = format!(
        "/* schemes::digest */ SELECT count(*) AS rows, coalesce(sum(hashtextextended(r::text, 0)::numeric), 0)::text AS one,
             coalesce(sum(hashtextextended(r::text, 1)::numeric), 0)::text AS other FROM {from}"
    );
    let row = tx.query_one(&sql, params).await?;
    Ok((column(&row, "rows")?, column(&row, "one")?, column(&row, "other")?))
}

/// Where the copy is not what the month is: a sentence, or nothing.
async fn difference(tx: &Tx<'_>, division: &Division, part: Bounds) -> Result<Option<String>, StoreError> {
    let month = Bounds::from(division.month);
    for Copied { copy, source, columns, rows, range } in tables(tx, division, part).await? {
        let params: [Param<'_>; 4] = [&range.lower, &range.upper, &month.lower, &month.upper];
        read_whole(tx, range == month).await?;
        let there = digest(tx, &rows(&source, &columns), &params).await?;
        let here = digest(tx, &rows(&copy, &columns), &params).await?;
        if there != here {
            let (rows, copied, from) = (there.0, here.0, range.lower);
            let detail =
                format!("{source} has {rows} rows from {from} on, and their copy {copied} that are not the same");
            return Ok(Some(detail));
        }
    }
    Ok(None)
}

impl Division {
    /// As the month that is being filled, which it also is: for its indexes, and to remove it.
    fn fill(&self) -> Fill {
        Fill::of_division(self.month, self.number, self.is_detached)
    }
}

const ENSURE: &str = "/* schemes::ensure */ SELECT ledger.ensure_month($1 /* moment */, $2 /* scheme */) AS made";

impl Store {
    /// Makes the partition that holds `moment`, divided, if it is missing; answers whether it was.
    pub async fn ensure_divided(&self, moment: DateTime<Utc>, scheme: Scheme) -> Result<bool, StoreError> {
        let scheme = &scheme.to_string();
        let made = self.run_tx("ensure_divided", As::Worker, |tx| {
            Box::pin(async move {
                leases::check(tx).await?;
                column(&tx.query_one(ENSURE, &[&moment, scheme]).await?, "made")
            })
        });
        made.await
    }

    /// See [`list`].
    pub async fn divided_months(&self) -> Result<Vec<Divided>, StoreError> {
        self.run_tx("divided_months", As::Worker, |tx| Box::pin(list(tx))).await
    }

    /// See [`divisions`].
    pub async fn divisions(&self) -> Result<Vec<Division>, StoreError> {
        self.run_tx("divisions", As::Worker, |tx| Box::pin(divisions(tx))).await
    }

    /// Begins to divide a month anew, or goes on with what is there; whoever did it before can do nothing more.
    pub async fn begin_division(&self, month: Month, scheme: Scheme) -> Result<Division, StoreError> {
        self.run_tx("begin_division", As::Worker, |tx| Box::pin(begin(tx, month, scheme))).await
    }

    /// Copies a piece of a division: see `copy`.
    pub async fn copy_division(&self, division: &Division, part: Bounds) -> Result<Division, StoreError> {
        self.run_once("copy_division", As::Worker, |tx| Box::pin(copy(tx, division, part))).await
    }

    pub async fn index_division(&self, division: &Division) -> Result<(), StoreError> {
        self.index_month(&division.fill()).await
    }

    /// Compares the copy with the month in its next part; answers in words where they differ.
    pub async fn compare_division(&self, with: &mut Comparison, part: Bounds) -> Result<Option<String>, StoreError> {
        let division = with.division;
        let found = self.run_tx("compare_division", As::Worker, |tx| Box::pin(difference(tx, &division, part))).await?;
        if found.is_none() && part.lower == with.same_until {
            with.same_until = part.upper;
        }
        Ok(found)
    }

    /// Puts the copy in the place of the month, and notes who did.
    pub async fn swap_division(&self, same: &Same, by: &str) -> Result<(), StoreError> {
        let sql = "/* schemes::swap */ SELECT ledger.swap_month($1 /* moment */, $2 /* number */)";
        let Same(division) = same;
        let swapped = self.run_once("swap_division", As::Worker, |tx| {
            Box::pin(async move {
                leases::check(tx).await?;
                let (subject, detail) = (division.month.to_string(), json!({ "scheme": division.scheme.to_string() }));
                let action = "partitions.rescheme";
                audit::append(tx, &Entry { tenant: None, actor: by, action, subject, detail }).await?;
                tx.query_one(sql, &[&division.month.begin(), &division.number]).await.map(drop)
            })
        });
        swapped.await
    }

    /// Removes the copy; the month stays as it is.
    pub async fn abort_division(&self, division: &Division) -> Result<(), StoreError> {
        self.abandon_month(&division.fill()).await
    }
}
