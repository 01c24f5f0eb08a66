//! What goes: whether a statement is meant to, in which form it does, and several of them as the body of one request.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    model::TenantId,
    store::{
        As, Store, StoreError,
        ledger::attachments,
        progress::{forwards::Forward, projections::Line},
    },
    transfer::{TransferError, lines::attachment_piece},
    xapi::{multipart::Frame, time},
};

/// A content that goes along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    sha2: String,
    media_type: String,
    length: u64,
}

/// A statement on its way.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    pub line: Line,
    pub document: Map<String, Value>,
    contents: Vec<Content>,
    /// Why it cannot go.
    pub lacks: Option<&'static str>,
    /// The last line that is settled with it: those behind it that are not meant to go are.
    pub until: Moment,
}

/// When a statement was stored, and which that is.
pub(super) type Moment = (DateTime<Utc>, Uuid);

pub(super) fn moment(line: &Line) -> Moment {
    (line.stored, line.id)
}

impl Parcel {
    /// About what it adds to a request.
    fn bytes(&self) -> u64 {
        self.line.payload.len() as u64 + self.contents.iter().map(|content| content.length).sum::<u64>()
    }
}

/// Whether a forward's filters let a statement through. One is about an activity that is its object, or stands in its context.
pub(super) fn is_meant(forward: &Forward, document: &Map<String, Value>) -> bool {
    let verb = document.get("verb").and_then(|verb| verb["id"].as_str()).unwrap_or_default();
    let fits_verb = forward.verbs.is_empty() || forward.verbs.iter().any(|wanted| wanted == verb);
    fits_verb
        && (forward.activities.is_empty()
            || activities(document).any(|id| forward.activities.iter().any(|wanted| wanted == id)))
}

fn activities(document: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let object =
        document.get("object").filter(|object| matches!(object["objectType"].as_str(), None | Some("Activity")));
    let context = document.get("context").and_then(|context| context["contextActivities"].as_object());
    let listed = context.into_iter().flat_map(Map::values).flat_map(|found| match found {
        Value::Array(list) => list.iter().collect::<Vec<_>>(),
        one => vec![one],
    });
    object.into_iter().chain(listed).filter_map(|activity| activity["id"].as_str())
}

/// The statement as another LRS takes it. Who vouches for it, and when it is stored, is for that one to say; what a reader sees here as
/// its timestamp it has there too. An LRS of 1.0 knows no version 2.0, and gives it its own.
pub(super) fn outgoing(line: &Line, version: &str) -> Result<Map<String, Value>, TransferError> {
    let unreadable = |error: serde_json::Error| TransferError::Unreadable(line.id, error.to_string());
    let mut document: Map<String, Value> = serde_json::from_str(&line.payload).map_err(unreadable)?;
    document.shift_remove("authority");
    document.shift_remove("stored");
    if !document.contains_key("timestamp") {
        document.insert("timestamp".to_owned(), time::text(line.stored).into());
    }
    let is_newer = |text: &Value| text.as_str().is_some_and(|text| text.starts_with("2."));
    if !version.starts_with("2.") && document.get("version").is_some_and(is_newer) {
        document.shift_remove("version");
    }
    Ok(document)
}

/// A parcel with what has to go along.
pub(super) async fn pack(
    store: &Store,
    tenant: TenantId,
    line: Line,
    document: Map<String, Value>,
) -> Result<Parcel, StoreError> {
    let mut parcel = Parcel { until: moment(&line), line, contents: Vec::new(), lacks: None, document };
    for attachment in attached(&parcel.document) {
        let text = |name: &str| attachment[name].as_str().unwrap_or_default();
        let sha2 = text("sha2").to_ascii_lowercase();
        if parcel.contents.iter().any(|content| content.sha2 == sha2) {
            continue;
        }
        let hash = &hex::decode(&sha2).unwrap_or_default();
        let asked = store.run_tx("attachment_length", As::Tenant(tenant), |tx| {
            Box::pin(async move { attachments::length(tx, tenant, hash).await })
        });
        match asked.await? {
            Some(length) => {
                let (media_type, length) = (text("contentType").to_owned(), length.unsigned_abs());
                parcel.contents.push(Content { sha2, media_type, length });
            }
            None if attachment.get("fileUrl").is_none() => {
                parcel.lacks = Some("the bytes of an attachment are not here");
            }
            None => {}
        }
    }
    if parcel.bytes() > LARGEST {
        parcel.lacks = Some("it is larger with its attachments than anything that is forwarded");
    }
    Ok(parcel)
}

/// What a request holds in memory at most, whatever one statement brings.
const LARGEST: u64 = 128 << 20;

/// The attachments of a statement, and of one within it.
fn attached(document: &Map<String, Value>) -> Vec<Value> {
    let inner = document.get("object").and_then(Value::as_object);
    let of = |map: &Map<String, Value>| map.get("attachments").and_then(Value::as_array).cloned().unwrap_or_default();
    [Some(document), inner].into_iter().flatten().flat_map(of).collect()
}

/// Where to cut a page, so that each piece is within the limits of a request: the length of each piece.
pub(super) fn pieces(parcels: &[Parcel], (most, bytes): (usize, u64)) -> Vec<usize> {
    let (mut pieces, mut count, mut sum) = (Vec::new(), 0, 0);
    for parcel in parcels {
        let own = parcel.bytes();
        if count > 0 && (count >= most || sum + own > bytes) {
            pieces.push(count);
            (count, sum) = (0, 0);
        }
        (count, sum) = (count + 1, sum + own);
    }
    pieces.extend(Some(count).filter(|count| *count > 0));
    pieces
}

/// The body of a request, and its content type.
pub(super) async fn body(
    store: &Store,
    tenant: TenantId,
    parcels: &[Parcel],
    boundary: Uuid,
) -> Result<(String, Vec<u8>), TransferError> {
    let documents: Vec<&Map<String, Value>> = parcels.iter().map(|parcel| &parcel.document).collect();
    let statements = serde_json::to_vec(&documents).map_err(|error| TransferError::Refused(error.to_string()))?;
    let mut contents: Vec<&Content> = parcels.iter().flat_map(|parcel| &parcel.contents).collect();
    contents.sort_by(|a, b| a.sha2.cmp(&b.sha2));
    contents.dedup_by(|a, b| a.sha2 == b.sha2);
    if contents.is_empty() {
        return Ok(("application/json".to_owned(), statements));
    }
    let frame = Frame::new(boundary);
    let mut body = frame.statements().into_bytes();
    body.extend(statements);
    for content in contents {
        body.extend(frame.attachment(&content.sha2, &content.media_type, Some(content.length)).into_bytes());
        let (hash, mut piece) = (hex::decode(&content.sha2).unwrap_or_default(), 0);
        while let Some(bytes) = attachment_piece(store, tenant, &hash, piece).await? {
            body.extend(bytes);
            piece += 1;
        }
    }
    body.extend(frame.end().into_bytes());
    Ok((frame.content_type(), body))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(payload: &Value) -> Line {
        let (id, stored) = (Uuid::from_u128(7), DateTime::from_timestamp_micros(1_795_249_444_225_209).unwrap());
        let (verb_key, agent_key, payload) = (Uuid::nil(), None, payload.to_string());
        Line { id, stored, verb_key, agent_key, has_registration: false, voids: None, payload }
    }

    fn forward(verbs: &[&str], activities: &[&str]) -> Forward {
        let owned = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
        Forward {
            number: 1,
            tenant: TenantId::DEFAULT,
            tenant_name: "default".to_owned(),
            name: "x".to_owned(),
            target: "x".to_owned(),
            verbs: owned(verbs),
            activities: owned(activities),
            is_paused: false,
            is_served: true,
            is_due: true,
            position: DateTime::UNIX_EPOCH,
            position_id: None,
            sent: 0,
            refused: 0,
            sent_at: None,
            failures: 0,
            last_error: None,
            failed_at: None,
            retry_at: None,
            created_by: "x".to_owned(),
            oldest: None,
        }
    }

    #[test]
    fn what_only_the_other_side_can_say_stays_here_and_the_rest_is_as_it_was() {
        let said = json!({"id": "x", "version": "2.0.0", "result": {"score": {"raw": 1.50}}, "authority": {"mbox": "mailto:a@x.example"}});
        let new = Value::Object(outgoing(&line(&said), "2.0.0").unwrap()).to_string();
        assert_eq!(
            new,
            r#"{"id":"x","version":"2.0.0","result":{"score":{"raw":1.5}},"timestamp":"2026-11-21T08:24:04.225209Z"}"#
        );
        let given = json!({"version": "2.0.0", "timestamp": "2026-01-01T00:00:00+01:00"});
        let old = Value::Object(outgoing(&line(&given), "1.0.3").unwrap()).to_string();
        assert_eq!(old, r#"{"timestamp":"2026-01-01T00:00:00+01:00"}"#);
    }

    #[test]
    fn filters_ask_for_one_of_the_verbs_and_one_of_the_activities() {
        let said = json!({"verb": {"id": "v:1"}, "object": {"id": "a:1"},
            "context": {"contextActivities": {"grouping": [{"id": "a:2"}], "parent": {"id": "a:3"}}}});
        let of = |verbs: &[&str], activities: &[&str]| is_meant(&forward(verbs, activities), said.as_object().unwrap());
        assert!(of(&[], &[]) && of(&["v:0", "v:1"], &["a:1"]) && of(&[], &["a:2"]) && of(&[], &["a:3"]));
        assert!(!of(&["v:2"], &[]) && !of(&["v:2"], &["a:1"]) && !of(&["v:1"], &["a:4"]));
        let agent = json!({"verb": {"id": "v:1"}, "object": {"objectType": "StatementRef", "id": "a:1"}});
        assert!(!is_meant(&forward(&[], &["a:1"]), agent.as_object().unwrap()));
    }

    #[test]
    fn a_page_is_cut_by_number_and_by_bytes_and_what_is_large_goes_alone() {
        let of = |bytes: usize| {
            let line = Line { payload: "x".repeat(bytes), ..line(&json!({})) };
            Parcel { until: moment(&line), line, document: Map::new(), contents: Vec::new(), lacks: None }
        };
        let parcels: Vec<Parcel> = [10, 10, 10, 100, 10, 40].map(of).into();
        assert_eq!(pieces(&parcels, (2, 50)), [2, 1, 1, 2]);
        assert_eq!(pieces(&parcels, (10, 1_000)), [6]);
        assert_eq!(pieces(&[], (10, 1_000)), [] as [usize; 0]);
    }
}
