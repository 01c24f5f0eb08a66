//! What the other LRS makes of a request: it has the statements now, it never takes them, or it is to be asked again later.

use std::time::Duration;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::parcel::Parcel;
use crate::{
    transfer::{
        TransferError,
        remote::{Remote, Reply},
    },
    xapi::compare,
};

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Taken,
    /// Something of it is not taken, today or later.
    Refused(String),
    /// Nothing was said of the statements.
    Later {
        why: String,
        after: Option<Duration>,
    },
}

/// Reads the answer to a request. That a voiding is not allowed is said of the voiding; any other 403 of the login.
pub(super) fn verdict(reply: &Reply, has_voiding: bool) -> Verdict {
    let status = reply.status;
    match status.as_u16() {
        200 | 204 => Verdict::Taken,
        400 | 422 => Verdict::Refused(format!("the other LRS finds it not valid ({status})")),
        409 => Verdict::Refused("another statement has this id there".to_owned()),
        413 => Verdict::Refused(format!("it is too large for the other LRS ({status})")),
        403 if has_voiding => Verdict::Refused(format!("the other LRS does not let us void ({status})")),
        _ => Verdict::Later { why: format!("the other LRS answers {status}"), after: reply.after },
    }
}

/// Sends some statements together.
pub(super) async fn deliver(
    remote: &Remote,
    parcels: &[Parcel],
    (content_type, body): (String, Vec<u8>),
) -> Result<Verdict, TransferError> {
    let reply = remote.post(&content_type, body).await?;
    let verdict = verdict(&reply, parcels.iter().any(|parcel| parcel.line.voids.is_some()));
    match (parcels, reply.status.as_u16()) {
        // Some say so also of what they have already.
        ([one], 409) => Ok(if is_there(remote, one.line.id, &one.document).await? { Verdict::Taken } else { verdict }),
        _ => Ok(verdict),
    }
}

/// Whether the other side has this statement, and no other, under its id.
async fn is_there(remote: &Remote, id: Uuid, ours: &Map<String, Value>) -> Result<bool, TransferError> {
    for parameter in ["statementId", "voidedStatementId"] {
        let reply = remote.statement(parameter, id).await?;
        if reply.status.as_u16() == 200 {
            let theirs: Option<Map<String, Value>> = serde_json::from_slice(&reply.body).ok();
            return Ok(theirs.is_some_and(|theirs| compare::same(ours, &theirs).is_ok()));
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    #[test]
    fn only_what_is_said_of_statements_is_final() {
        let of = |status: u16, has_voiding| {
            let (status, after) = (StatusCode::from_u16(status).unwrap(), Some(Duration::from_secs(7)));
            verdict(&Reply { status, after, body: Vec::new() }, has_voiding)
        };
        assert_eq!(of(200, false), Verdict::Taken);
        for status in [400, 409, 413, 422] {
            assert!(matches!(of(status, false), Verdict::Refused(_)), "{status}");
        }
        for status in [301, 401, 403, 404, 408, 429, 500, 503] {
            assert!(matches!(of(status, false), Verdict::Later { after: Some(_), .. }), "{status}");
        }
        assert!(matches!(of(403, true), Verdict::Refused(_)));
    }
}
