//! `demo seed`: the plan, then tenants, documents and days one after the other, and the projections made of them.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::bail;
use chrono::TimeDelta;
use indicatif::{BinaryBytes, ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::Wanted;
use crate::{
    cli::access::BY,
    cold::Cold,
    demo::{self, Day, Outline},
    ingest::settle::References,
    model::{Clock, Ids, TenantId, partition::Month},
    projections::{effects::EFFECTS, rebuild::Rebuild},
    store::{
        As, Store,
        platform::audit::{self, Entry},
    },
    telemetry::Metrics,
    transfer::{Arrival, Brought, Load, LoadError, PastDocument, Reader},
};

/// What a statement takes up in the end, with its indexes and all that is made of it: measured.
const BYTES: u64 = 2_600;
/// Statements in one transaction.
const BATCH: usize = 4_000;

pub async fn run(cold: &Cold, wanted: &Wanted, json: bool) -> anyhow::Result<ExitCode> {
    let store = cold.store();
    let outline = outline(wanted);
    check(store, &outline).await?;
    if !json {
        print(&outline);
    }
    if !wanted.apply {
        if json {
            say!("{}", plan(&outline));
        } else {
            say!("nothing was done; --apply makes it");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let tenants = make_tenants(store, &outline).await?;
    let began = Instant::now();
    let (new, same) = load(store, &outline, &tenants).await?;
    let loaded = began.elapsed();
    let bar = spinner("following references")?;
    let references = References::new(cold.clone(), Metrics::new()?);
    while references.step().await? > 0 {}
    for (number, tenant) in tenants.iter().enumerate() {
        bar.set_message(format!("making attempts of {}", Outline::name(number as u32)));
        rebuild(cold, *tenant).await?;
    }
    bar.finish_and_clear();
    let all = began.elapsed();
    note(store, &outline, new).await?;
    let speed = |time: Duration| (new as f64 / time.as_secs_f64().max(0.001)) as u64;
    if json {
        let outcome = json!({ "new": new, "same": same, "loadSeconds": loaded.as_secs_f64(), "seconds": all.as_secs_f64(),
                              "loadedPerSecond": speed(loaded), "perSecond": speed(all) });
        say!("{outcome}");
    } else {
        say!(
            "{new} statements made, {same} were there: {} a second loaded, {} with all that is made of them",
            speed(loaded),
            speed(all)
        );
        say!("`progress-service credentials create --tenant demo-1 …` lets you look at them");
    }
    Ok(ExitCode::SUCCESS)
}

fn outline(wanted: &Wanted) -> Outline {
    let last = Month::of(Month::of(Clock::system().now()).begin() - TimeDelta::days(1));
    let Wanted { seed, tenants, statements, months, until, .. } = *wanted;
    Outline { seed, tenants, statements, months, until: until.unwrap_or(last) }
}

/// Touches nothing that is somebody else's.
async fn check(store: &Store, outline: &Outline) -> anyhow::Result<()> {
    if outline.until.end() > Clock::system().now() {
        bail!("{} is not over: a past ends with a month before this one", outline.until);
    }
    for month in outline.months() {
        if let Some(other) = store.other_in_month(month).await? {
            bail!(
                "{month} holds statements of tenant {other}, which is no demo: what is made up gets months of its own, so that \
                 it can be removed again. Give an earlier month as --until"
            );
        }
    }
    Ok(())
}

fn plan(outline: &Outline) -> Value {
    let Outline { seed, tenants, statements, until, .. } = *outline;
    let first = outline.months().first().map(Month::to_string);
    json!({ "seed": seed, "tenants": tenants, "statements": statements, "learners": outline.learners() * u64::from(tenants),
            "from": first, "until": until, "estimatedBytes": statements * BYTES })
}

fn print(outline: &Outline) {
    let Outline { seed, tenants, statements, until, months } = *outline;
    let first = outline.months().first().copied().unwrap_or(until);
    let learners = outline.learners();
    let (size, documents) =
        (BinaryBytes(statements * BYTES), (0..tenants).flat_map(|t| demo::documents(outline, t)).count());
    say!("tenants     {tenants}, demo-1 to demo-{tenants}, each with {learners} learners");
    say!("statements  {statements}, stored {first} to {until} ({months} months)");
    say!("documents   {documents}");
    say!("size        about {size}");
    say!("seed        {seed}");
}

/// The tenants in their order; those that are there must be demo tenants.
async fn make_tenants(store: &Store, outline: &Outline) -> anyhow::Result<Vec<TenantId>> {
    let there: BTreeMap<String, TenantId> =
        store.demo_tenants().await?.into_iter().map(|tenant| (tenant.name, tenant.id)).collect();
    let (ids, now) = (Ids::random(), Clock::system().now());
    let mut tenants = Vec::new();
    for number in 0..outline.tenants {
        let name = Outline::name(number);
        let id = there.get(&name).copied().unwrap_or_else(|| TenantId(ids.uuid()));
        if !there.contains_key(&name) && !store.make_demo_tenant(id, &name, BY, now).await? {
            bail!("the tenant {name:?} is there and was not made by `demo seed`: it is left alone");
        }
        tenants.push(id);
    }
    Ok(tenants)
}

/// A part of a day, ready to be written.
struct Part {
    tenant: TenantId,
    month: Month,
    arrivals: Vec<Arrival>,
    brought: Vec<Brought>,
}

/// Loads all of it; answers how many statements are new, and how many were there.
async fn load(store: &Store, outline: &Outline, tenants: &[TenantId]) -> anyhow::Result<(u64, u64)> {
    let mut load = Load::begin(store.clone(), EFFECTS.version);
    let template = "{msg} {wide_bar} {human_pos}/{human_len} {per_sec} ({eta})";
    let bar = ProgressBar::new(outline.statements).with_style(ProgressStyle::with_template(template)?);
    bar.set_message("documents");
    for (number, tenant) in (0..).zip(tenants) {
        let past: Vec<PastDocument> = demo::documents(outline, number).map(past).collect();
        for some in past.chunks(500) {
            load.documents(*tenant, some).await?;
        }
    }
    // One thread tells and reads what the other one writes.
    let (parts, mut ready) = mpsc::channel::<Result<Part, LoadError>>(3);
    let (outline, ids) = (*outline, tenants.to_vec());
    let telling = tokio::task::spawn_blocking(move || tell(&outline, &ids, &parts));
    let (mut new, mut same) = (0, 0);
    let mut month = None;
    while let Some(part) = ready.recv().await {
        let Part { tenant, month: next, arrivals, brought } = part?;
        if month != Some(next) {
            load.finish(Some(next)).await?;
            bar.set_message(next.to_string());
            month = Some(next);
        }
        load.attachments(tenant, &brought).await?;
        let loaded = load.take(tenant, &arrivals).await?;
        (new, same) = (new + loaded.new, same + loaded.same);
        bar.inc(arrivals.len() as u64);
    }
    telling.await?;
    load.finish(None).await?;
    bar.finish_and_clear();
    Ok((new, same))
}

/// Tells one day after the other until nobody listens any more.
fn tell(outline: &Outline, tenants: &[TenantId], parts: &mpsc::Sender<Result<Part, LoadError>>) {
    let mut readers: Vec<Reader> = tenants.iter().copied().map(Reader::of).collect();
    let mut waiting: Option<Part> = None;
    for day in outline.days() {
        let (Some(tenant), Some(reader)) = (tenants.get(day.tenant as usize), readers.get_mut(day.tenant as usize))
        else {
            continue;
        };
        let part = match read(outline, &day, *tenant, reader) {
            Ok(part) => part,
            Err(error) => return drop(parts.blocking_send(Err(error))),
        };
        // Small days go together.
        waiting = match waiting.take() {
            Some(before)
                if before.tenant != part.tenant || before.month != part.month || before.arrivals.len() >= BATCH =>
            {
                if parts.blocking_send(Ok(before)).is_err() {
                    return;
                }
                Some(part)
            }
            Some(mut before) => {
                before.arrivals.extend(part.arrivals);
                before.brought.extend(part.brought);
                Some(before)
            }
            None => Some(part),
        };
    }
    if let Some(last) = waiting {
        drop(parts.blocking_send(Ok(last)));
    }
}

fn read(outline: &Outline, day: &Day, tenant: TenantId, reader: &mut Reader) -> Result<Part, LoadError> {
    let told = demo::tell(outline, day);
    let arrivals =
        told.statements.iter().map(|text| reader.read(text.as_bytes())).collect::<Result<Vec<Arrival>, LoadError>>()?;
    let authority = arrivals.first().map(|first| first.statement.authority_key).unwrap_or_default();
    let bytes = |content: Vec<u8>| Brought { sha2: Sha256::digest(&content).to_vec(), content, authority };
    let brought = told.attachments.into_iter().map(bytes).collect();
    Ok(Part { tenant, month: day.month, arrivals, brought })
}

fn past(document: demo::Document) -> PastDocument {
    let demo::Document { scope, id, content_type, content, updated_at } = document;
    PastDocument { scope, id, content_type: content_type.to_owned(), content, updated_at }
}

/// Makes attempts, completions and scores of what was loaded. No event is told.
async fn rebuild(cold: &Cold, tenant: TenantId) -> anyhow::Result<()> {
    let rebuild = Rebuild::begin(cold, Some(tenant)).await?;
    let built = async {
        rebuild.build(&|_| ()).await?;
        rebuild.compare(tenant).await?;
        rebuild.apply(tenant, BY).await
    };
    let built = built.await;
    rebuild.end().await?;
    built?;
    Ok(())
}

async fn note(store: &Store, outline: &Outline, new: u64) -> anyhow::Result<()> {
    let mut detail = plan(outline);
    if let Some(detail) = detail.as_object_mut() {
        detail.insert("new".to_owned(), json!(new));
    }
    let detail = &detail;
    let noted = store.run_once("demo_seeded", As::Worker, |tx| {
        Box::pin(async move {
            let (action, subject) = ("demo.seed", "demo".to_owned());
            audit::append(tx, &Entry { tenant: None, actor: BY, action, subject, detail: detail.clone() }).await
        })
    });
    noted.await?;
    Ok(())
}

fn spinner(words: &'static str) -> anyhow::Result<ProgressBar> {
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {msg} ({elapsed})")?);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar.set_message(words);
    Ok(bar)
}
