//! `demo clear`: what was made up goes, month by month and table by table.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::{
    cli::access::BY,
    model::partition::Month,
    store::{
        As, Store, StoreError,
        ledger::{demo::DemoTenant, fills::Parents},
        platform::audit::{self, Entry},
    },
};

/// Rows of a table that go at once.
const ROWS: i64 = 20_000;
/// How often a month is tried that others are reading, with growing pauses.
const TRIES: u32 = 8;

pub async fn run(store: &Store, apply: bool, json: bool) -> anyhow::Result<ExitCode> {
    let tenants = store.demo_tenants().await?;
    let months = store.demo_months().await?;
    let unfinished = store.demo_months_unfinished().await?;
    if let Some(month) = store.demo_months_away().await?.first() {
        bail!(
            "statements of demo tenants in {month} went to the archive, and no command of this release removes a published \
             segment, also not of a month that was brought back: nothing is cleared"
        );
    }
    for month in &months {
        if let Some(other) = store.other_in_month(*month).await? {
            bail!("{month} also holds statements of tenant {other}, which is no demo: nothing was done");
        }
    }
    let statements: i64 = tenants.iter().map(|tenant| tenant.statements).sum();
    if !json {
        say!("{} tenants, {statements} statements, {} months to drop", tenants.len(), months.len());
    }
    if apply {
        for fill in unfinished {
            let ours = store.begin_month(fill.month, Parents::Hot).await?;
            store.abandon_month(&ours).await?;
        }
        for month in &months {
            drop_month(store, *month).await.with_context(|| format!("{month} cannot be dropped"))?;
        }
        clear(store, &tenants, statements).await?;
        let entry = || json!({ "tenants": tenants.len(), "statements": statements, "months": months.len() });
        store
            .run_once("demo_cleared", As::Worker, |tx| {
                Box::pin(async move {
                    let (action, subject) = ("demo.clear", "demo".to_owned());
                    audit::append(tx, &Entry { tenant: None, actor: BY, action, subject, detail: entry() }).await
                })
            })
            .await?;
    }
    if json {
        let months: Vec<String> = months.iter().map(Month::to_string).collect();
        let names: Vec<&str> = tenants.iter().map(|tenant| tenant.name.as_str()).collect();
        say!("{}", json!({ "tenants": names, "statements": statements, "months": months, "cleared": apply }));
    } else if apply {
        say!("cleared; the tenants stay, empty");
    } else {
        say!("nothing was done; --apply clears it");
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits for those who read the month, without letting others queue up behind it.
async fn drop_month(store: &Store, month: Month) -> Result<(), StoreError> {
    let mut tries = 1;
    loop {
        match store.drop_demo_month(month).await {
            Err(error) if error.code() == Some("55P03") && tries < TRIES => {
                tokio::time::sleep(Duration::from_millis(100) * 2u32.pow(tries)).await;
                tries += 1;
            }
            done => return done.map(drop),
        }
    }
}

async fn clear(store: &Store, tenants: &[DemoTenant], statements: i64) -> anyhow::Result<()> {
    let bar = ProgressBar::new(statements.unsigned_abs())
        .with_style(ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} ({eta})")?);
    for tenant in tenants {
        bar.set_message(tenant.name.clone());
        while store.clear_demo_tenant(tenant.id, ROWS).await? > 0 {
            bar.inc(ROWS.unsigned_abs());
        }
    }
    bar.finish_and_clear();
    Ok(())
}
