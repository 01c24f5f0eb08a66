//! A month that is divided anew: copied beside itself, shown to be the same, and put in its own place in one moment.
//!
//! Until then everybody reads the month as it was; what is left of a copy that was broken off is gone on with, or removed.

use chrono::{DateTime, Utc};

use super::fills::Fill;
use crate::model::{
    partition::{Bounds, Month},
    scheme::Scheme,
};
use crate::store::{
    As, Store, StoreError, Tx,
    door::tx::{Param, column},
    platform::leases,
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

/// A table that is copied: what it is called, where its rows come from, and its columns.
struct Copied {
    copy: String,
    source: String,
    columns: String,
}

const COLUMNS: &str = "/* schemes::columns */
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS columns FROM pg_attribute
    WHERE attrelid = to_regclass($1 /* table */) AND attnum > 0 AND NOT attisdropped";

async fn tables(tx: &Tx<'_>, division: &Division) -> Result<Vec<Copied>, StoreError> {
    let mut tables = Vec::with_capacity(2);
    for table in ["statements", "relations"] {
        let copy = format!("ledger.filling_{table}_{}", division.month.begin().format("%Y_%m"));
        let source = format!("ledger.{}{table}", if division.is_detached { "detached_" } else { "" });
        let columns = column(&tx.query_one(COLUMNS, &[&copy]).await?, "columns")?;
        tables.push(Copied { copy, source, columns });
    }
    Ok(tables)
}

const MOVE_ON: &str = "/* schemes::move_on */
    UPDATE ledger.month_divisions SET copied_until = $4 /* until */
    WHERE month = ($1 /* begins */::timestamptz AT TIME ZONE 'UTC')::date AND number = $2 /* number */
      AND copied_until = $3 /* from */";

/// Copies what was stored in this part of the month, which begins where the copy ends.
async fn copy(tx: &Tx<'_>, division: &Division, part: Bounds) -> Result<Division, StoreError> {
    leases::check(tx).await?;
    let moved = tx.execute(MOVE_ON, &[&division.month.begin(), &division.number, &part.lower, &part.upper]).await?;
    if moved == 0 {
        let detail = format!("somebody else divides the month {}, or nobody does any more", division.month);
        return Err(StoreError::Shape { name: "schemes::copy", detail });
    }
    for Copied { copy, source, columns } in tables(tx, division).await? {
        let sql = format!(
            "/* schemes::copy */ INSERT INTO {copy} ({columns}) SELECT {columns} FROM {source}
             WHERE stored >= $1 /* lower */ AND stored < $2 /* upper */ ORDER BY stored"
        );
        tx.execute(&sql, &[&part.lower, &part.upper]).await?;
    }
    Ok(Division { copied_until: part.upper, ..*division })
}

/// The number of rows, and two sums of their hashes: the order does not count, and twice the same is not none.
type Digest = (i64, String, String);

async fn digest(tx: &Tx<'_>, from: &str, columns: &str, part: Bounds) -> Result<Digest, StoreError> {
    let sql = format!(
        "/* schemes::digest */ SELECT count(*) AS rows, coalesce(sum(hashtextextended(r::text, 0)::numeric), 0)::text AS one,
             coalesce(sum(hashtextextended(r::text, 1)::numeric), 0)::text AS other
         FROM (SELECT {columns} FROM {from} WHERE stored >= $1 /* lower */ AND stored < $2 /* upper */) r"
    );
    let range: [Param<'_>; 2] = [&part.lower, &part.upper];
    let row = tx.query_one(&sql, &range).await?;
    Ok((column(&row, "rows")?, column(&row, "one")?, column(&row, "other")?))
}

/// Where the copy is not what the month is: a sentence, or nothing.
async fn difference(tx: &Tx<'_>, division: &Division, part: Bounds) -> Result<Option<String>, StoreError> {
    for Copied { copy, source, columns } in tables(tx, division).await? {
        let (there, here) = (digest(tx, &source, &columns, part).await?, digest(tx, &copy, &columns, part).await?);
        if there != here {
            let (rows, copied) = (there.0, here.0);
            return Ok(Some(format!(
                "{source} has {rows} rows from {} on, and their copy {copied} rows that are not the same",
                part.lower
            )));
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

impl Store {
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

    /// See [`copy`].
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

    /// Puts the copy in the place of the month.
    pub async fn swap_division(&self, same: &Same) -> Result<(), StoreError> {
        let sql = "/* schemes::swap */ SELECT ledger.swap_month($1 /* moment */, $2 /* number */)";
        let Same(division) = same;
        let swapped = self.run_once("swap_division", As::Worker, |tx| {
            Box::pin(async move {
                leases::check(tx).await?;
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
