//! Documents of another LRS: which there are at a place, and one of them.

use chrono::{DateTime, Utc};
use reqwest::Url;

use super::{Remote, refused};
use crate::{
    transfer::{PastDocument, TransferError},
    xapi::{query::DocumentScope, time},
};

impl Remote {
    /// The ids of the documents at a place, or of those that were modified after a moment.
    pub async fn document_ids(
        &mut self,
        scope: &DocumentScope,
        since: Option<DateTime<Utc>>,
    ) -> Result<Vec<String>, TransferError> {
        let mut url = self.place(scope)?;
        if let Some(since) = since {
            url.query_pairs_mut().append_pair("since", &time::text(since));
        }
        let Some((_, body)) = self.ask(url).await? else { return Ok(Vec::new()) };
        serde_json::from_slice(&body).map_err(|error| refused(format!("a list of documents cannot be read: {error}")))
    }

    /// A document as it is there; none where there is none under this id.
    pub async fn document(&mut self, scope: &DocumentScope, id: &str) -> Result<Option<PastDocument>, TransferError> {
        let mut url = self.place(scope)?;
        let name = if matches!(scope, DocumentScope::State { .. }) { "stateId" } else { "profileId" };
        url.query_pairs_mut().append_pair(name, id);
        let Some((head, content)) = self.ask(url.clone()).await? else { return Ok(None) };
        let updated_at = head
            .modified
            .ok_or_else(|| refused(format!("{}: it does not say when the document {id:?} was modified", url.path())))?;
        let (scope, id, content_type) = (scope.clone(), id.to_owned(), head.content_type);
        Ok(Some(PastDocument { scope, id, content_type, content, updated_at }))
    }

    fn place(&self, scope: &DocumentScope) -> Result<Url, TransferError> {
        let (path, activity, agent, registration) = match scope {
            DocumentScope::State { activity, agent, registration } => {
                ("activities/state", Some(activity), Some(agent), registration.as_ref())
            }
            DocumentScope::ActivityProfile { activity } => ("activities/profile", Some(activity), None, None),
            DocumentScope::AgentProfile { agent } => ("agents/profile", None, Some(agent), None),
        };
        let mut url = self.account.endpoint.join(path).map_err(refused)?;
        let mut query = url.query_pairs_mut();
        if let Some(activity) = activity {
            query.append_pair("activityId", activity);
        }
        if let Some(agent) = agent {
            query.append_pair("agent", &serde_json::Value::Object(agent.to_map()).to_string());
        }
        if let Some(registration) = registration {
            query.append_pair("registration", &registration.to_string());
        }
        drop(query);
        Ok(url)
    }
}
