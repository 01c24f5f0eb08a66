//! `rollout`: carry a plan out step by step, see how it goes, and take it back.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{access::BY, beside::with_database, exit};
use crate::{
    app,
    config::Loaded,
    model::{Ids, plan as digests},
    rollout::{
        Desk, Plan,
        plan::{self, Step, Tell},
        plan_of,
        timed::{self, Timed},
    },
    store::{
        Store,
        platform::{
            rollouts::{Event, Rollout},
            tellings::Receiver,
        },
    },
};

#[derive(clap::Args)]
pub struct Args {
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    json: bool,
    /// Who does it, as the audit trail will know them
    #[arg(long, global = true, default_value = BY)]
    by: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Read a plan and say what it does in which order, and what is wrong with it; exit code 4 when something is
    Plan { file: PathBuf },
    /// Begin a rollout; nodes do its steps from now on
    Start {
        file: PathBuf,
        /// Only if the plan still has this digest
        #[arg(long)]
        plan: Option<String>,
    },
    /// Print the newest rollout and where it is
    Status { name: Option<String> },
    /// Let one that holds go on; of a contract this is the approval, by somebody else than who began
    Advance { name: String },
    /// Approve the contract that waits for it: as somebody else than who began
    Approve { name: String },
    /// Let it wait; what is set stays set
    Pause { name: String },
    /// Let a paused one go on
    Resume { name: String },
    /// Take it back: flags become what they were
    Abort {
        name: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Print everything that a rollout did, and when
    Report { name: String },
    /// Tell those again, at once, whom a rollout could not reach
    TellAgain { name: String },
}

/// Runs the subcommand over the configured database, which may serve at the same time.
pub async fn run(args: Args, loaded: &Loaded) -> anyhow::Result<ExitCode> {
    with_database(&loaded.config, async |database| {
        let store = Store::open(&database.settings)?;
        let known = app::known_to_plans(&loaded.config, &database.runner(&loaded.config)?)?;
        let done = with_desk(&args, &Desk::new(&store, &Ids::random(), known)).await;
        store.close();
        done
    })
    .await
}

async fn with_desk(args: &Args, desk: &Desk) -> anyhow::Result<ExitCode> {
    let (by, json) = (args.by.as_str(), args.json);
    let rollout = match &args.command {
        Command::Plan { file } => return planned(desk, file, json).await,
        Command::Start { file, plan } => {
            let read = read(file)?;
            let digest = digests::digest(&read);
            digests::must_be_the_one(plan.as_deref(), &digest).map_err(anyhow::Error::msg)?;
            desk.start(&read, &digest, by).await?;
            return shown(desk, Some(&read.name), json, false).await;
        }
        Command::Status { name } => return shown(desk, name.as_deref(), json, false).await,
        Command::Report { name } => return shown(desk, Some(name), json, true).await,
        Command::TellAgain { name } => {
            desk.tell_again(name, by).await?.iter().for_each(|receiver| print_receiver(receiver, json));
            return Ok(ExitCode::SUCCESS);
        }
        Command::Advance { name } => desk.advance(name, by).await?,
        Command::Approve { name } => desk.approve(name, by).await?,
        Command::Pause { name } => desk.pause(name, by).await?,
        Command::Resume { name } => desk.resume(name, by).await?,
        Command::Abort { name, reason } => desk.abort(name, reason, by).await?,
    };
    print(&rollout, json);
    Ok(ExitCode::SUCCESS)
}

fn read(file: &PathBuf) -> anyhow::Result<Plan> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    plan::read(&text).map_err(anyhow::Error::msg)
}

async fn planned(desk: &Desk, file: &PathBuf, json: bool) -> anyhow::Result<ExitCode> {
    let plan = read(file)?;
    let (faults, digest) = (desk.faults(&plan).await?, digests::digest(&plan));
    let order = plan.order().unwrap_or_default();
    if json {
        let tells = plan.tell.as_ref().map(Tell::names).unwrap_or_default();
        let line = |step: &&Step| {
            let mut line = json!(step);
            line["atLeastSeconds"] = json!(timed::at_least(step));
            line
        };
        let steps: Vec<_> = order.iter().map(line).collect();
        say!("{}", json!({ "name": plan.name, "digest": digest, "steps": steps, "tells": tells, "faults": faults }));
    } else {
        say!("{}: {}", plan.name, plan.about);
        for (place, step) in (1..).zip(&order) {
            say!("  {place}. {}  {}", step.name, json!(step.what));
        }
        if let Some(tell) = &plan.tell {
            say!("  tells {}", tell.names().join(", "));
        }
        faults.iter().for_each(|fault| say!("fault: {fault}"));
        say!("digest {digest}");
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(exit::FOUND) })
}

async fn shown(desk: &Desk, name: Option<&str>, json: bool, whole: bool) -> anyhow::Result<ExitCode> {
    let Some((rollout, events)) = desk.look(name, 1).await?.pop() else {
        anyhow::bail!("there is no rollout{}", name.map(|name| format!(" {name:?}")).unwrap_or_default());
    };
    let receivers = desk.receivers(rollout.id).await?;
    let steps = if whole { timed::timed(&plan_of(&rollout)?, &events) } else { Vec::new() };
    if json {
        let mut told = told_by(&rollout, &receivers);
        if whole {
            told["steps"] = steps.iter().map(step_line).collect();
        }
        say!("{told}");
    } else {
        print(&rollout, false);
        steps.iter().for_each(print_step);
        receivers.iter().for_each(|receiver| print_receiver(receiver, false));
    }
    if whole {
        events.iter().for_each(|event| print_event(event, json));
    }
    Ok(ExitCode::SUCCESS)
}

fn step_line(Timed { step, at_least, took }: &Timed) -> Value {
    json!({ "step": step, "atLeastSeconds": at_least, "tookSeconds": took })
}

fn print_step(Timed { step, at_least, took }: &Timed) {
    let at_least = at_least.map_or(String::new(), |seconds| format!(", at least {seconds} s"));
    let took = took.map_or("not over".to_owned(), |seconds| format!("took {seconds:.1} s"));
    say!("  {step:<20} {took}{at_least}");
}

fn line(rollout: &Rollout) -> Value {
    let Rollout { name, state, step, why, asked_by, approved_by, digest, started_at, finished_at, .. } = rollout;
    json!({ "id": rollout.id, "name": name, "state": state, "step": step, "why": why, "askedBy": asked_by,
        "approvedBy": approved_by, "digest": digest, "startedAt": started_at, "finishedAt": finished_at })
}

/// The same with whom it tells.
fn told_by(rollout: &Rollout, receivers: &[Receiver]) -> Value {
    let mut told = line(rollout);
    told["receivers"] = receivers.iter().map(receiver_line).collect();
    told
}

fn receiver_line(receiver: &Receiver) -> Value {
    let Receiver {
        name, told, told_at, count, waiting, failures, last_error, failed_at, retry_at, given_up_at, ..
    } = receiver;
    json!({ "receiver": name, "state": receiver.state(), "told": count, "waiting": waiting, "lastNumber": told, "toldAt": told_at,
        "failures": failures, "lastError": last_error, "failedAt": failed_at, "retryAt": retry_at, "givenUpAt": given_up_at })
}

fn print_receiver(receiver: &Receiver, json: bool) {
    if json {
        say!("{}", receiver_line(receiver));
        return;
    }
    let Receiver { name, count, waiting, failures, last_error, .. } = receiver;
    let why = last_error.as_ref().map(|why| format!("; {failures} tries came to nothing: {why}")).unwrap_or_default();
    say!("  tells {name}: {}, {count} of {}{why}", receiver.state(), count + waiting);
}

fn print(rollout: &Rollout, json: bool) {
    let Rollout { name, state, step, why, .. } = rollout;
    if json {
        say!("{}", line(rollout));
        return;
    }
    let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    say!("{name}  {state} at step {}{why}", step + 1);
}

fn print_event(event: &Event, json: bool) {
    let Event { at, step, what, detail, by } = event;
    if json {
        say!("{}", json!({ "at": at, "step": step, "what": what, "detail": detail, "by": by }));
    } else {
        say!("  {}  {step:<20} {what:<12} {detail}  ({by})", at.format("%Y-%m-%dT%H:%M:%SZ"));
    }
}
