//! `/admin/months`: the ledger by months, where each lies, what the schedule does next, and what a person can do to one.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Path, ServiceConfig},
};
use askama::Template;
use serde_json::Value;

use super::{
    Pages,
    form::Act as Sent,
    plain,
    plan::Plan,
    shell::{Shell, answer},
    table::{Cell, Link, Table},
    timeline::{self, Timeline},
    visitor::{PageError, Visitor, to},
};
use crate::{
    archive::{jobs as archive, plan::coming},
    http::{
        HttpError,
        api::{Api, Months, admin::partitions::placed_alone},
    },
    identity::reach,
    model::{
        partition::{Month, Partition, State, Weight},
        plan::Planned,
    },
    partitions::{
        ask,
        jobs::{Act as Change, CHANGE},
    },
};

const HERE: &str = "/admin/months";
/// In the place of a month: what is about all of them.
const ALL: &str = "all";
/// Months on a page.
const SIZE: usize = 120;

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/months").get(list))
        .service(web::resource("/months/{month}/{act}").get(plan).post(carry_out));
}

/// What a person can ask for.
#[derive(Clone, Copy)]
struct Ask {
    name: &'static str,
    by: By,
    effect: &'static str,
    /// What has to be typed; empty where nothing goes.
    word: &'static str,
}

/// Which room does it.
#[derive(Clone, Copy)]
enum By {
    /// At once: nobody has to wait for it.
    Ensure,
    Change(Change),
    Archive(&'static str),
}

const ASKS: [Ask; 9] = [
    Ask {
        name: "ensure",
        by: By::Ensure,
        effect: "The months that should be there ahead of time are made. A node does so every hour by itself.",
        word: "",
    },
    Ask {
        name: "seal",
        by: By::Change(Change::Seal),
        effect: "Nothing is stored in it any more. That cannot be taken back.",
        word: "seal",
    },
    Ask {
        name: "detach",
        by: By::Change(Change::Detach),
        effect: "It is moved out of the queries' way. Statements in it are found as before.",
        word: "",
    },
    Ask {
        name: "attach",
        by: By::Change(Change::Attach),
        effect: "It is brought back among those that every query reads, and the schedule leaves it there.",
        word: "",
    },
    Ask {
        name: "archive",
        by: By::Archive(archive::RUN),
        effect: "It is detached, and written into segments in object storage, which are proven and published. Its table stays.",
        word: "",
    },
    Ask {
        name: "drop",
        by: By::Archive(archive::DROP),
        effect: "All of it is compared with its segments, and then its table is dropped: from then on only the archive has it.",
        word: "drop",
    },
    Ask {
        name: "restore",
        by: By::Archive(archive::RESTORE),
        effect: "Its table is made again from its segments.",
        word: "",
    },
    Ask {
        name: "verify",
        by: By::Archive(archive::VERIFY),
        effect: "Published segments are read again, every byte and every row, and compared with what was written.",
        word: "",
    },
    Ask {
        name: "gc",
        by: By::Archive(archive::GC),
        effect: "What nobody needs any more is removed from object storage, by the names that rows and manifests give it.",
        word: "gc",
    },
];

/// What can be asked of a month in this state.
fn asks_of(state: State) -> &'static [&'static str] {
    match state {
        State::Open => &["seal"],
        State::Sealed => &["detach", "archive"],
        State::Detached => &["attach", "archive"],
        State::Archived => &["attach", "drop", "verify"],
        State::Dropped => &["restore", "verify"],
        State::Attached | State::Marked | State::Removed => &[],
    }
}

fn known(name: &str) -> Result<Ask, HttpError> {
    let unknown = || HttpError::NotFound("there is no such page".to_owned());
    ASKS.into_iter().find(|ask| ask.name == name).ok_or_else(unknown)
}

/// The month in an address, or none for all of them. Only what is about all of them goes without.
fn month(text: &str, ask: Ask) -> Result<Option<Month>, HttpError> {
    let is_about_all = matches!(ask.name, "ensure" | "gc");
    match text {
        ALL if is_about_all || ask.name == "verify" => Ok(None),
        text if text != ALL && !is_about_all => text.parse().map(Some).map_err(HttpError::NotFound),
        _ => Err(HttpError::NotFound("there is no such page".to_owned())),
    }
}

#[derive(Template)]
#[template(path = "months.html", config = "src/http/pages/askama.toml")]
struct List {
    shell: Shell,
    timeline: Timeline,
    months: Table,
    is_scheduled: bool,
}

const COLUMNS: [&str; 8] =
    ["Month", "State", "Where", "Statements, estimated", "On the disk", "Divided", "By the schedule next", "Acts"];

async fn list(
    visitor: Visitor,
    pages: Data<Pages>,
    of: Data<Months>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    reach::months(&visitor.caller)?;
    let (weights, now) = (pages.store.partition_weights().await?, pages.clock.now());
    let divided = pages.store.divided_months().await?;
    let coming = coming(&of.schedule, &of.archive.standings().await?);
    let row = |(partition, weight): &(Partition, Weight)| {
        let begins = partition.bounds.lower;
        let scheme = divided.iter().find(|one| partition.bounds == one.month.into()).map(|one| one.scheme);
        let next = coming.iter().find(|one| one.month.begin() == begins);
        let next = next.map(|one| format!("{} from {}", one.act.name(), plain::time(one.at)));
        let name = partition.bounds.to_string();
        let link = |act: &&str| Link {
            href: format!("{HERE}/{name}/{act}"),
            text: format!("{act}…"),
            label: format!("{act} {name}"),
        };
        let is_ahead = begins > now;
        let acts = if is_ahead { Vec::new() } else { asks_of(partition.state).iter().map(link).collect() };
        vec![
            Cell::text(name.as_str()),
            Cell::state(timeline::state(partition, now)),
            Cell::text(timeline::place(partition, now)),
            Cell::text(plain::number(weight.rows)),
            Cell::text(plain::bytes(weight.bytes)),
            Cell::text(scheme.unwrap_or_default().to_string()),
            Cell::text(next.as_deref().unwrap_or("–")),
            Cell::links(acts),
        ]
    };
    let rows = weights.iter().rev().map(row).collect();
    let page = List {
        shell: Shell::new(&visitor, &pages, HERE, "The ledger by months").after(req.query_string()),
        timeline: Timeline::new(&weights, now),
        months: Table::new("Months with what can be done", &COLUMNS, rows).cut(SIZE),
        is_scheduled: of.schedule.hot_months.is_some(),
    };
    Ok(answer(&page)?)
}

/// What it would do now.
async fn planned(of: &Months, api: &Api, ask: Ask, month: Option<Month>) -> Result<Planned, HttpError> {
    match (ask.by, month) {
        (By::Change(change), Some(month)) => Ok(ask::look(&of.archive.store, month, change, of.has_brokers).await?),
        (By::Archive(kind), month) => Ok(of.archive.plan(kind, month).await?),
        (By::Ensure | By::Change(_), _) => Ok(ask::missing(&api.store, &api.clock).await?.1),
    }
}

async fn plan(
    visitor: Visitor,
    pages: Data<Pages>,
    of: Data<Months>,
    api: Data<Api>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, PageError> {
    reach::months(&visitor.caller)?;
    let (place, act) = path.into_inner();
    let ask = known(&act)?;
    let month = month(&place, ask)?;
    let Planned { plan, digest, is_idle } = planned(&of, &api, ask, month).await?;
    let (effect, verb) = if is_idle { ("There is nothing to do.", "") } else { (ask.effect, ask.name) };
    let title = month.map_or_else(|| format!("Months: {act}"), |month| format!("{month}: {act}"));
    let page = Plan {
        facts: facts(&plan),
        table: lines(&plan),
        digest,
        word: ask.word.to_owned(),
        back: HERE.to_owned(),
        ..Plan::new(Shell::new(&visitor, &pages, HERE, title), format!("{HERE}/{place}/{act}"), effect, verb)
    };
    Ok(answer(&page)?)
}

/// What the plan says, as a command line shows it.
fn facts(plan: &Value) -> Vec<(&'static str, String)> {
    const NAMES: [(&str, &str); 9] = [
        ("month", "Month"),
        ("state", "It is"),
        ("becomes", "It becomes"),
        ("missing", "Missing"),
        ("statements", "Statements, estimated"),
        ("bytes", "Bytes of its tables"),
        ("segments", "Published segments"),
        ("archived_statements", "Statements in them"),
        ("archived_bytes", "Bytes in them"),
    ];
    let fact = |(name, label): (&str, &'static str)| {
        let said = match plan.get(name)? {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            Value::Number(number) => number.as_i64().map_or_else(|| number.to_string(), plain::number),
            other => other.to_string(),
        };
        Some((label, said))
    };
    NAMES.into_iter().filter_map(fact).collect()
}

/// A plan that is a list, line by line.
fn lines(plan: &Value) -> Option<Table> {
    let rows = plan.as_array()?.iter().map(|line| vec![Cell::text(line.to_string())]).collect();
    Some(Table::new("What it comes to", &["What goes"], rows).cut(200))
}

async fn carry_out(
    sent: Sent,
    of: Data<Months>,
    api: Data<Api>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, PageError> {
    let Sent { visitor, form } = sent;
    reach::months(&visitor.caller)?;
    let (place, act) = path.into_inner();
    let ask = known(&act)?;
    let month = month(&place, ask)?;
    let Planned { digest, is_idle, .. } = planned(&of, &api, ask, month).await?;
    form.saw(&digest)?;
    if is_idle {
        return Err(HttpError::Conflict("there is nothing to do any more".to_owned()).into());
    }
    if !ask.word.is_empty() {
        form.confirmed(ask.word)?;
    }
    let (archive, by) = (&of.archive, visitor.name());
    let job = match (ask.by, month) {
        (By::Change(change), Some(month)) => {
            let placed = ask::ask_for((&archive.store, &archive.ids), month, change, &digest, &by).await?;
            placed_alone(placed, CHANGE)?
        }
        (By::Archive(kind), month) => archive.ask_for(kind, month, &digest, &by).await?,
        (By::Ensure | By::Change(_), _) => {
            for bounds in ask::missing(&api.store, &api.clock).await?.0 {
                api.store.ensure_divided(bounds.lower, of.scheme).await?;
            }
            return Ok(to(&format!("{HERE}?done=ensured")));
        }
    };
    Ok(to(&format!("/admin/jobs/{job}?done=job")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_all_months_names_none_and_the_rest_names_one() {
        let of = |place: &str, act: &str| month(place, known(act).unwrap()).map_err(|_| ());
        assert_eq!(of("all", "ensure"), Ok(None));
        assert_eq!(of("all", "verify"), Ok(None));
        assert_eq!(of("2026-03", "verify"), Ok(Some("2026-03".parse().unwrap())));
        assert_eq!(of("2026-03", "seal"), Ok(Some("2026-03".parse().unwrap())));
        for (place, act) in
            [("all", "seal"), ("all", "drop"), ("2026-03", "gc"), ("2026-13", "seal"), ("0000-01", "seal")]
        {
            assert_eq!(of(place, act), Err(()), "{place} {act}");
        }
        assert!(known("destroy").is_err());
    }

    #[test]
    fn what_is_offered_exists_and_what_destroys_wants_a_word() {
        for state in State::ALL {
            assert!(asks_of(state).iter().all(|name| known(name).is_ok()), "{}", state.name());
        }
        assert!(["seal", "drop", "gc"].into_iter().all(|name| !known(name).unwrap().word.is_empty()));
    }
}
