//! PUT and POST /statements: read, prepare, submit, and answer only after the commit.

use std::time::Duration;

use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use uuid::Uuid;

use super::{
    Incoming, Xapi, multipart,
    received::{Received, read},
};
use crate::{
    cmi5::{self, Said},
    http::{HttpError, RequestContext},
    identity::{Caller, reach},
    ingest::{IngestError, Submission},
    model::{Scope, TenantId},
    telemetry::{Span, spans::Kind},
    xapi::{
        Statement, Violation, Violations,
        prepare::{Author, Prepared, prepare},
        query,
    },
};

/// One statement under the id of the parameter: 204.
pub(super) async fn put(
    mut incoming: Incoming,
    caller: &Caller,
    req: &HttpRequest,
    xapi: &Xapi,
) -> Result<HttpResponse, HttpError> {
    caller.require(Scope::StatementsWrite)?;
    let id = query::put_statement(&incoming.given, &xapi.limits)?;
    let received = receive(&mut incoming, caller.tenant, xapi).await?;
    if !received.single {
        let message = "PUT takes one statement, not an array of them";
        return Err(Violations::whole("statement.put.single", message).into());
    }
    let ready = prepared(received, caller, &incoming, xapi, move || id).await?;
    if let Some(other) = ready.statements.first().filter(|statement| statement.id != id) {
        let message = format!("the statement's id {} is not the statementId of the request", other.id);
        return Err(Violations(vec![at("/id", "statement.put.id", message)]).into());
    }
    submit(ready, caller, req, xapi).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// One statement or an array of them: 200 with every id, in their order, whether new or here already.
pub(super) async fn post(
    mut incoming: Incoming,
    caller: &Caller,
    req: &HttpRequest,
    xapi: &Xapi,
) -> Result<HttpResponse, HttpError> {
    caller.require(Scope::StatementsWrite)?;
    query::none(&incoming.given, &xapi.limits)?;
    let received = receive(&mut incoming, caller.tenant, xapi).await?;
    let ids = xapi.ids.clone();
    let ready = prepared(received, caller, &incoming, xapi, move || ids.uuid()).await?;
    let ids = submit(ready, caller, req, xapi).await?;
    Ok(HttpResponse::Ok().json(ids))
}

async fn receive(incoming: &mut Incoming, tenant: TenantId, xapi: &Xapi) -> Result<Received, HttpError> {
    let content_type = incoming.content_type();
    match content_type.split(';').next().unwrap_or_default().trim() {
        "application/json" => {
            let body = incoming.take_body(xapi.limits.body_bytes).await?;
            let size = body.len();
            let (batch, room) = read(body, incoming, tenant, xapi).await?;
            multipart::require_no_parts(&batch.statements, &xapi.limits)?;
            Ok(Received { statements: batch.statements, single: batch.single, attachments: Vec::new(), size, room })
        }
        "multipart/mixed" => multipart::receive(incoming, tenant, xapi).await,
        other => {
            let message = format!("content type {other:.80} is not application/json or multipart/mixed");
            Err(Violations::whole("header.content-type", message).into())
        }
    }
}

async fn prepared(
    received: Received,
    caller: &Caller,
    incoming: &Incoming,
    xapi: &Xapi,
    fresh_id: impl Fn() -> Uuid + Send + 'static,
) -> Result<Submission, HttpError> {
    let Received { statements, attachments, size, room, .. } = received;
    let (tenant, authority, version) = (caller.tenant, caller.authority.clone(), incoming.version);
    let (launch, now) = (caller.launch.clone(), xapi.clock.now());
    let job = move || -> (Vec<Prepared>, Vec<Said>) {
        let author = Author::new(tenant.0, &authority, version);
        let said =
            |(index, statement): (usize, &Statement)| cmi5::read(tenant, launch.as_deref(), index, statement.doc());
        let said = statements.iter().enumerate().filter_map(said).collect();
        let prepare = |statement| prepare(statement, &author, &fresh_id, now);
        (statements.into_iter().map(prepare).collect(), said)
    };
    let (mut all, said) = xapi.work.sized(tenant, size, job).await?;
    // What was read is taken apart by now; its text is about as long as the body, which is still counted.
    drop(room);
    if !caller.scopes.allows(Scope::Define) {
        forget_definitions(&mut all);
    }
    reach::write(caller, &mut all, &said)?;
    Ok(Submission { tenant, statements: all, said, attachments, span: Span::none() })
}

/// Without the scope `define` a statement is kept as it is, but teaches the server nothing about activities, agents and verbs.
fn forget_definitions(statements: &mut [Prepared]) {
    for statement in statements {
        statement.activities.iter_mut().for_each(|activity| activity.definition = None);
        statement.agents.iter_mut().for_each(|agent| agent.name = None);
        statement.verb.display = None;
    }
}

/// Refuses a voiding of what is known to be another's. One whose target comes later, or just now, is bound all the same; one
/// whose target is certainly the sender's own, and lies where nobody could look every time, is not.
async fn keep_to_own_targets(statements: &mut [Prepared], caller: &Caller, xapi: &Xapi) -> Result<(), HttpError> {
    let bound = |statement: &Prepared| statement.refers_to.filter(|_| statement.voids_only_of.is_some());
    let targets: Vec<Uuid> = statements.iter().filter_map(bound).collect();
    if targets.is_empty() {
        return Ok(());
    }
    let known = xapi.reader.targets(caller.tenant, &targets, reach::authority(caller)).await?;
    let mut all = statements.iter().enumerate().filter_map(|(index, statement)| Some((index, bound(statement)?)));
    if let Some((index, target)) = all.find(|(_, target)| known.foreign.contains(target)) {
        return Err(reach::foreign_target(index, target).into());
    }
    for statement in statements {
        if bound(statement).is_some_and(|target| known.own_and_away.contains(&target)) {
            statement.voids_only_of = None;
        }
    }
    Ok(())
}

/// Of the way into the ledger, below the request's own.
fn span(req: &HttpRequest, statements: usize, xapi: &Xapi) -> Span {
    let below = |context: &RequestContext| xapi.traces.below(context.trace, Kind::Internal, "write to the ledger");
    let mut span = req.extensions().get::<RequestContext>().map(below).unwrap_or_default();
    span.set("db.system.name", "postgresql");
    span.set("progress.statements", statements);
    span
}

async fn submit(
    mut ready: Submission,
    caller: &Caller,
    req: &HttpRequest,
    xapi: &Xapi,
) -> Result<Vec<Uuid>, HttpError> {
    if ready.statements.is_empty() {
        return Ok(Vec::new());
    }
    keep_to_own_targets(&mut ready.statements, caller, xapi).await?;
    let ids: Vec<Uuid> = ready.statements.iter().map(|statement| statement.id).collect();
    ready.span = span(req, ids.len(), xapi);
    let submitted = xapi.ingest.submit(ready).await;
    submitted.map_err(|error| refused(error, ids))
}

fn at(pointer: &str, rule: &'static str, message: String) -> Violation {
    Violation { statement: Some(0), pointer: pointer.to_owned(), rule, message }
}

/// `ids` are those of the statements, whether they came with them or were made here.
fn refused(error: IngestError, ids: Vec<Uuid>) -> HttpError {
    let why = error.to_string();
    let retry_after = Duration::from_secs(2);
    match error {
        IngestError::Full { .. } | IngestError::Stopping => {
            HttpError::Unavailable { why, retry_after: Duration::from_secs(1) }
        }
        IngestError::Late { .. } => HttpError::Unavailable { why, retry_after },
        IngestError::Conflict { .. } => HttpError::Conflict(why),
        IngestError::Against(violations) => HttpError::Refused(violations),
        IngestError::Unavailable(error) => {
            tracing::warn!(%error, "statements could not be stored now");
            let why = "statements cannot be stored right now, and these are not; send them again".to_owned();
            HttpError::Unavailable { why, retry_after }
        }
        IngestError::InDoubt(error) => {
            tracing::warn!(%error, "statements may be stored or not");
            HttpError::InDoubt { ids, retry_after }
        }
        IngestError::Archive(error) if error.is_temporary() => {
            tracing::warn!(%error, "statements could not be compared with archived ones");
            let why =
                "an archived month cannot be read right now, and these statements are not stored; send them again";
            HttpError::Unavailable { why: why.to_owned(), retry_after: Duration::from_secs(5) }
        }
        IngestError::Archive(_) => HttpError::Archive(why),
        IngestError::Failed(_) => HttpError::Internal(why),
    }
}
