//! `/admin`: how the service is, in one look.

use actix_web::{
    HttpResponse,
    http::header,
    web::{self, Data, ServiceConfig},
};
use askama::Template;
use chrono::{Days, NaiveDate};

use super::{
    Pages,
    alarms::{self, Alarm},
    chart::Chart,
    history, jobs, plain,
    shell::{Shell, answer},
    timeline::Timeline,
    visitor::{PageError, Visitor},
};
use crate::{
    http::{
        HttpError, Phase, csv,
        health::{Check, Finding},
    },
    identity::reach::Role,
    model::partition::{Partition, Weight},
    store::{
        As, StoreError,
        platform::jobs::{Filter, Job, list},
    },
    telemetry::metrics::Figures,
};

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("").get(overview)).service(web::resource("/activity.csv").get(activity));
}

/// What only an operator sees: it is of the whole installation.
struct Whole {
    alarms: Vec<Alarm>,
    phase: &'static str,
    checks: Vec<Finding>,
    charts: Vec<Chart>,
    /// Absent while the database cannot be asked.
    days: Option<Chart>,
    /// Absent while the database cannot be asked.
    months: Option<Timeline>,
    /// Absent while the database cannot be asked.
    jobs: Option<Vec<jobs::Line>>,
    minutes: u64,
}

#[derive(Template)]
#[template(path = "overview.html", config = "src/http/pages/askama.toml")]
struct Overview {
    shell: Shell,
    whole: Option<Whole>,
    scopes: String,
}

/// How many jobs are looked at, and how many of them are shown.
const JOBS: i64 = 50;
const SHOWN: usize = 8;
/// How many days of activity are drawn, the present one among them.
const DAYS: u64 = 30;

async fn overview(visitor: Visitor, pages: Data<Pages>) -> Result<HttpResponse, PageError> {
    let whole = if visitor.role == Role::Operator { Some(whole(&pages).await?) } else { None };
    let scopes = visitor.caller.scopes.names().join(", ");
    let mut shell = Shell::new(&visitor, &pages, "/admin", "Overview");
    shell.is_dark |= whole.as_ref().is_some_and(|whole| whole.jobs.is_none());
    Ok(answer(&Overview { shell, whole, scopes })?)
}

async fn whole(pages: &Pages) -> Result<Whole, PageError> {
    let (now, phase) = (pages.clock.now(), pages.lifecycle.phase());
    let checks = futures_util::future::join_all(pages.checks.iter().map(Check::run)).await;
    // Without an answer nothing more is asked: each question would wait for its time.
    let is_away = checks.iter().any(|check| check.name == "database" && !check.ok);
    let Asked { jobs, months, activity } =
        if is_away { Asked::default() } else { asked(pages, now.date_naive()).await? };
    let moments = pages.history.moments();
    let mut alarms: Vec<Alarm> =
        if let Phase::Maintenance { pending } = &phase { alarms::of_pending(pending) } else { None }
            .into_iter()
            .collect();
    alarms.extend(checks.iter().filter(|check| !check.ok).map(|check| Alarm {
        what: format!("The check \"{}\" fails: {}", check.name, check.detail),
        way_out: "docs/operations.md, Health, says what it means.",
        href: String::new(),
    }));
    if let [before, .., last] = moments.as_slice() {
        alarms.extend(alarms::of_figures(before, last, now));
    }
    alarms.extend(alarms::of_jobs(jobs.as_deref().unwrap_or_default(), now));
    Ok(Whole {
        alarms,
        phase: phase.name(),
        checks,
        months: months.map(|weights| Timeline::new(&weights, now)),
        jobs: jobs.map(|jobs| jobs.iter().take(SHOWN).map(jobs::Line::of).collect()),
        minutes: (moments.len().max(1) - 1) as u64 * history::EVERY.as_secs() / 60,
        charts: charts(&moments),
        days: activity.map(|counts| days(&counts, now.date_naive())),
    })
}

/// What the database says.
#[derive(Default)]
struct Asked {
    jobs: Option<Vec<Job>>,
    months: Option<Vec<(Partition, Weight)>>,
    activity: Option<Vec<(NaiveDate, i64)>>,
}

async fn asked(pages: &Pages, today: NaiveDate) -> Result<Asked, PageError> {
    let filter = &Filter::default();
    let jobs = pages.store.run_tx("list_jobs", As::Worker, |tx| Box::pin(list(tx, filter, JOBS))).await;
    let months = pages.store.partition_weights().await;
    let activity = pages.store.activity_of_everybody(today - Days::new(DAYS - 1)).await;
    Ok(Asked { jobs: known(jobs)?, months: known(months)?, activity: known(activity)? })
}

/// What the chart draws, for a spreadsheet.
async fn activity(visitor: Visitor, pages: Data<Pages>) -> Result<HttpResponse, PageError> {
    if visitor.role != Role::Operator {
        return Err(HttpError::Forbidden("the counts of all tenants are an operator's".to_owned()).into());
    }
    let today = pages.clock.now().date_naive();
    let counts = pages.store.activity_of_everybody(today - Days::new(DAYS - 1)).await?;
    let mut text = csv::row(["day", "statements"].map(str::to_owned).into_iter());
    for (day, statements) in counts {
        text += &csv::row([day.to_string(), statements.to_string()].into_iter());
    }
    let name = (header::CONTENT_DISPOSITION, csv::named("activity"));
    Ok(HttpResponse::Ok().content_type(csv::CONTENT_TYPE).insert_header(name).body(text))
}

/// A point for each day, those on which nothing was done among them.
fn days(counts: &[(NaiveDate, i64)], today: NaiveDate) -> Chart {
    let of =
        |day: NaiveDate| counts.iter().find(|(counted, _)| *counted == day).map_or(0.0, |(_, count)| *count as f64);
    let values: Vec<f64> = (0..DAYS).rev().map(|ago| of(today - Days::new(ago))).collect();
    Chart::new("Statements, by day", &values, |value| plain::number(value as i64))
}

/// What a database says that is there; one that is away makes a gap in the page, and no error.
fn known<T>(asked: Result<T, StoreError>) -> Result<Option<T>, PageError> {
    match asked {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_temporary() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Each point is what happened between two moments; the last moment is now, and what it ends is no whole one yet.
fn charts(moments: &[Figures]) -> Vec<Chart> {
    let every = history::EVERY.as_secs_f64();
    let whole = moments.get(..moments.len().saturating_sub(1)).unwrap_or_default();
    let between = |value: &dyn Fn(&Figures, &Figures) -> f64| -> Vec<f64> {
        whole.windows(2).map(|pair| if let [one, two] = pair { value(one, two).max(0.0) } else { 0.0 }).collect()
    };
    let rate = |value: fn(&Figures) -> f64| between(&|one, two| (value(two) - value(one)) / every);
    let at = |value: fn(&Figures) -> f64| -> Vec<f64> { moments.iter().map(value).collect() };
    let a_second = |value: f64| format!("{value:.1} a second");
    vec![
        Chart::new("Statements stored", &rate(|f| f.statements), a_second),
        Chart::new("Requests answered", &rate(|f| f.requests), a_second),
        Chart::new(
            "Time to answer, 95 of 100",
            &between(&|a, b| b.quantile_since(a, 0.95).unwrap_or(0.0)),
            plain::seconds,
        ),
        Chart::new("Errors of the service", &rate(|f| f.errors), a_second),
        Chart::new("Waiting to be written", &at(|f| f.queued_kib), |kib| plain::bytes((kib * 1024.0) as i64)),
        Chart::new("Events behind", &at(|f| f.lag), plain::seconds),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_on_which_nothing_was_done_is_drawn_too() {
        let today: NaiveDate = "2026-11-28".parse().unwrap();
        let chart = days(&[(today - Days::new(1), 40), (today, 1_200)], today);
        assert_eq!(chart.points.split(' ').count(), 30);
        assert_eq!((chart.now.as_str(), chart.most.as_str()), ("1\u{202f}200", "1\u{202f}200"));
        assert!(chart.points.starts_with("0.0,58.0 ") && chart.points.ends_with(" 300.0,2.0"), "{}", chart.points);
    }
}
