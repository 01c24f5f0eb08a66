//! Finds the tables of two cells the same. All that was written long enough ago is compared row by row while the tenant is served;
//! while its writers wait there is only to compare what was written since, and to count.

use super::{
    ResidencyError,
    courier::{Brought, Courier, What},
};
use crate::store::{
    As,
    platform::carried::{self, Carried, Shape, TABLES, Written, compared},
};

impl Courier {
    /// Finds every row that was written before a horizon, and went over, the same there, and takes away there what went here. A table
    /// where that is not so goes over again. Tells how many rows were compared so far; answers whether it was let go to its end.
    pub async fn settle_before(
        &self,
        horizon: &str,
        goes_on: &(dyn Fn(u64) -> bool + Sync),
    ) -> Result<bool, ResidencyError> {
        let mut compared = 0;
        for (of, shapes) in TABLES.iter().zip(&self.shapes().await?).filter(|(of, _)| of.is_keyed()) {
            if !goes_on(compared) {
                return Ok(false);
            }
            // What comes back here meanwhile was written since, and goes over with that.
            self.remove_gone(of).await?;
            compared += self.same(of, shapes, Written::Before(horizon)).await?;
        }
        Ok(true)
    }

    /// Makes every table there what it is here, with nobody writing: removes rows that went, and compares what was written since the
    /// horizon before which all is the same already.
    pub async fn settle(&self, since: Option<&str>, brought: &Brought) -> Result<(), ResidencyError> {
        let counts = self.counts().await?;
        for ((of, shapes), (here, there)) in TABLES.iter().zip(&self.shapes().await?).zip(counts) {
            if !of.is_keyed() {
                self.sums_are_same(of, shapes).await?;
                continue;
            }
            if here != there {
                self.remove_gone(of).await?;
            }
            if brought.of.contains(&of.table) {
                self.same(of, shapes, Written::since(since)).await?;
            }
        }
        // All rows from here are there, so that they are the same where there are as many.
        for (of, (here, there)) in TABLES.iter().zip(self.counts().await?) {
            if here != there {
                return Err(ResidencyError::Differs(format!("{} has {here} rows here and {there} there", of.table)));
            }
        }
        Ok(())
    }

    async fn counts(&self) -> Result<Vec<(i64, i64)>, ResidencyError> {
        let tenant = self.tenant;
        let here = self.from.run_tx("carried_counts", As::Worker, |tx| Box::pin(compared::counts(tx, tenant)));
        let there = self.to.run_tx("carried_counts", As::Worker, |tx| Box::pin(compared::counts(tx, tenant)));
        let (here, there) = tokio::try_join!(here, there)?;
        Ok(here.into_iter().zip(there).collect())
    }

    async fn same(&self, of: &Carried, shapes: &(Shape, Shape), written: Written<'_>) -> Result<u64, ResidencyError> {
        if let Ok(compared) = self.differing(of, shapes, written).await? {
            return Ok(compared);
        }
        self.table(of, shapes, Written::Ever, &|_| ()).await?;
        let key = match self.differing(of, shapes, written).await? {
            Ok(compared) => return Ok(compared),
            Err(key) => key,
        };
        Err(ResidencyError::Differs(format!("a row of {} is not the same there: {key}", of.table)))
    }

    /// How many rows were compared, or the key of one that is not the same.
    async fn differing(
        &self,
        of: &Carried,
        (here, there): &(Shape, Shape),
        written: Written<'_>,
    ) -> Result<Result<u64, String>, ResidencyError> {
        let tenant = self.tenant;
        let (mut compared, mut after) = (0, None::<String>);
        loop {
            let behind = after.as_deref();
            let page = self.from.run_tx("carried_digests", As::Worker, |tx| {
                Box::pin(compared::digests(tx, of, here, (tenant, written), behind))
            });
            let page = &page.await?;
            let Some(last) = page.last() else { return Ok(Ok(compared)) };
            let differing = self.to.run_tx("carried_differing", As::Worker, |tx| {
                Box::pin(compared::differing(tx, of, there, tenant, page))
            });
            if let Some(key) = differing.await? {
                return Ok(Err(key));
            }
            compared += page.len() as u64;
            after = Some(last.clone());
        }
    }

    /// For a table whose rows have no key that both cells know: it is small, and compared as a whole.
    async fn sums_are_same(&self, of: &Carried, shapes: &(Shape, Shape)) -> Result<(), ResidencyError> {
        let (here, there) = self.sums(of, shapes).await?;
        if here == there {
            return Ok(());
        }
        self.table(of, shapes, Written::Ever, &|_| ()).await?;
        let (here, there) = self.sums(of, shapes).await?;
        if here == there {
            return Ok(());
        }
        let why = format!("{} has {} rows here and {} there, or others", of.table, here.rows, there.rows);
        Err(ResidencyError::Differs(why))
    }

    async fn sums(
        &self,
        of: &Carried,
        (here, there): &(Shape, Shape),
    ) -> Result<(compared::Sum, compared::Sum), ResidencyError> {
        let tenant = self.tenant;
        let here = self.from.run_tx("carried_sum", As::Worker, |tx| Box::pin(compared::sum(tx, of, here, tenant)));
        let there = self.to.run_tx("carried_sum", As::Worker, |tx| Box::pin(compared::sum(tx, of, there, tenant)));
        Ok(tokio::try_join!(here, there)?)
    }

    /// What every table comes to where the tenant leaves from.
    pub async fn tables_come_to(&self) -> Result<Vec<(&'static str, compared::Sum)>, ResidencyError> {
        let tenant = self.tenant;
        let shapes = self.from.run_tx("carried_shapes", As::Worker, |tx| Box::pin(carried::shapes(tx, tenant)));
        let mut sums = Vec::new();
        for (of, shape) in TABLES.iter().zip(&shapes.await?) {
            let sum = self.from.run_tx("carried_sum", As::Worker, |tx| Box::pin(compared::sum(tx, of, shape, tenant)));
            sums.push((of.table, sum.await?));
        }
        Ok(sums)
    }

    /// Takes rows away there that are not here any more.
    async fn remove_gone(&self, of: &Carried) -> Result<(), ResidencyError> {
        let (tenant, mut after) = (self.tenant, None::<String>);
        loop {
            let behind = after.as_deref();
            let page =
                self.to.run_tx("carried_keys", As::Worker, |tx| Box::pin(compared::keys(tx, of, tenant, behind)));
            let page = &page.await?;
            let Some(last) = page.last() else { return Ok(()) };
            let gone =
                self.from.run_tx("carried_missing", As::Worker, |tx| Box::pin(compared::missing(tx, of, tenant, page)));
            let gone = gone.await?;
            if !gone.is_empty() {
                self.brings(What::Gone(of, &gone)).await?;
            }
            after = Some(last.clone());
        }
    }
}
