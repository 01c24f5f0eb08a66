//! Another LRS over xAPI: its About first, then pages of statements with the bytes of their attachments, at no more requests a second
//! than was asked for; and statements that are sent there, each request once.

mod documents;

use std::{path::Path, time::Duration};

use chrono::{DateTime, Utc};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, redirect::Policy};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{TransferError, pace::Pace};
use crate::{
    model::{Secret, causes},
    store::door::tls,
    xapi::{
        Limits,
        multipart::{Event, Parser, boundary},
        syntax::timestamp,
        time,
    },
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(120);
/// Of one answer.
const LARGEST_ANSWER: usize = 256 << 20;
/// So often a request is made again that was refused for a while, or got no answer.
const TRIES: u32 = 5;
/// The longest that is waited because the other side says so.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// What we speak, the best first.
const VERSIONS: [&str; 6] = ["2.0.0", "1.0.3", "1.0.2", "1.0.1", "1.0.0", "0.95"];

/// How to reach it.
pub struct Account {
    /// Its xAPI endpoint: what stands before `/statements`.
    pub endpoint: Url,
    pub key: String,
    pub secret: Secret,
}

/// What a request that is made once came to.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    /// How long to wait before the next one, where it says so.
    pub after: Option<Duration>,
    pub body: Vec<u8>,
}

pub struct Remote {
    client: Client,
    account: Account,
    version: String,
    pace: Pace,
    tries: u32,
}

/// The bytes of attachments, by their hash.
pub type Attachments = Vec<(String, Vec<u8>)>;

/// A page of statements.
pub struct Page {
    pub statements: Vec<Value>,
    pub attachments: Attachments,
    /// Where the next page is; none at the end.
    pub more: Option<Url>,
    /// Up to when the other side says that nothing is missing.
    pub through: Option<DateTime<Utc>>,
}

fn refused(what: impl std::fmt::Display) -> TransferError {
    TransferError::Refused(format!("the other LRS: {what}"))
}

impl Remote {
    /// Asks its About, and takes the highest version that both speak.
    pub async fn open(account: Account, per_second: f64, ca_file: Option<&Path>) -> Result<Self, TransferError> {
        Self::greet(client(ca_file, TIMEOUT)?, account, Pace::of(per_second), TRIES).await
    }

    /// The same for somebody who looks again by himself: every request is made once, without a pause.
    pub async fn once(client: &Client, account: Account) -> Result<Self, TransferError> {
        Self::greet(client.clone(), account, Pace::free(), 1).await
    }

    async fn greet(client: Client, account: Account, pace: Pace, tries: u32) -> Result<Self, TransferError> {
        let mut remote = Self { client, account, version: "1.0.3".to_owned(), pace, tries };
        let about = remote.account.endpoint.join("about").map_err(refused)?;
        let (_, body) = remote.get(about).await?;
        #[derive(Deserialize)]
        struct About {
            version: Vec<String>,
        }
        let About { version } =
            serde_json::from_slice(&body).map_err(|error| refused(format!("its About cannot be read: {error}")))?;
        remote.version =
            common(&version).ok_or_else(|| refused(format!("it speaks {version:?}, and we {VERSIONS:?}")))?.to_owned();
        Ok(remote)
    }

    pub fn version(&self) -> &str {
        &self.version
    }

    /// The first page of what was stored after a moment, oldest first.
    pub async fn since(&mut self, since: Option<DateTime<Utc>>, size: u32) -> Result<Page, TransferError> {
        let mut url = self.account.endpoint.join("statements").map_err(refused)?;
        url.query_pairs_mut()
            .append_pair("ascending", "true")
            .append_pair("attachments", "true")
            .append_pair("limit", &size.to_string());
        if let Some(since) = since {
            url.query_pairs_mut().append_pair("since", &time::text(since));
        }
        self.page(url).await
    }

    /// A page that another one named.
    pub async fn page(&mut self, url: Url) -> Result<Page, TransferError> {
        #[derive(Deserialize)]
        struct Answer {
            statements: Vec<Value>,
            more: Option<String>,
        }
        let (head, body) = self.get(url.clone()).await?;
        let (Answer { statements, more }, attachments) = head.taken_apart(body)?;
        let more = more.filter(|more| !more.is_empty()).map(|more| url.join(&more)).transpose().map_err(refused)?;
        if more.as_ref().is_some_and(|more| more.origin() != url.origin()) {
            return Err(refused("its next page is at another address, to which our key does not go"));
        }
        Ok(Page { statements, attachments, more, through: head.through })
    }

    /// A statement that no list shows any more, with the bytes of its attachments; none where it is not voided or not there.
    pub async fn voided(&mut self, id: &str) -> Result<Option<(Value, Attachments)>, TransferError> {
        let mut url = self.account.endpoint.join("statements").map_err(refused)?;
        url.query_pairs_mut().append_pair("voidedStatementId", id).append_pair("attachments", "true");
        self.ask(url).await?.map(|(head, body)| head.taken_apart(body)).transpose()
    }

    /// Sends statements; answers whatever the other side does.
    pub async fn post(&self, content_type: &str, body: Vec<u8>) -> Result<Reply, TransferError> {
        let url = self.account.endpoint.join("statements").map_err(refused)?;
        let request = self.client.post(url).header("Content-Type", content_type).body(body);
        self.reply(request).await
    }

    /// What the other side has under an id, voided or not.
    pub async fn statement(&self, parameter: &str, id: uuid::Uuid) -> Result<Reply, TransferError> {
        let mut url = self.account.endpoint.join("statements").map_err(refused)?;
        url.query_pairs_mut().append_pair(parameter, &id.to_string());
        self.reply(self.client.get(url)).await
    }

    async fn reply(&self, request: RequestBuilder) -> Result<Reply, TransferError> {
        let request = request.header("X-Experience-API-Version", &self.version);
        let answer = request.basic_auth(&self.account.key, Some(self.account.secret.expose())).send().await;
        let answer = answer.map_err(|error| refused(causes::in_one_line(&error.without_url())))?;
        let (status, after) = (answer.status(), after(&answer));
        let (_, body) = read(answer).await?;
        Ok(Reply { status, after, body })
    }

    async fn get(&mut self, url: Url) -> Result<(Head, Vec<u8>), TransferError> {
        let path = url.path().to_owned();
        self.ask(url).await?.ok_or_else(|| refused(format!("{path} answers {}", StatusCode::NOT_FOUND)))
    }

    /// What is there; none where the other side says that nothing is.
    async fn ask(&mut self, url: Url) -> Result<Option<(Head, Vec<u8>)>, TransferError> {
        let mut tries = 1;
        loop {
            self.pace.turn().await;
            let request = self.client.get(url.clone()).header("X-Experience-API-Version", &self.version);
            let answer = request.basic_auth(&self.account.key, Some(self.account.secret.expose())).send().await;
            let wait = match answer {
                Ok(answer) if answer.status() == StatusCode::OK => return read(answer).await.map(Some),
                Ok(answer) if answer.status() == StatusCode::NOT_FOUND => return Ok(None),
                Ok(answer) if is_for_a_while(answer.status()) => after(&answer),
                Ok(answer) => {
                    let status = answer.status();
                    return Err(refused(format!("{} answers {status}", url.path())));
                }
                Err(error) if tries == self.tries => return Err(refused(error.without_url())),
                Err(_) => None,
            };
            if tries == self.tries {
                return Err(refused(format!(
                    "{} is not served: asked {tries} times; the same command goes on later",
                    url.path()
                )));
            }
            tokio::time::sleep(wait.unwrap_or(Duration::from_millis(500) * 2_u32.pow(tries)).min(LONGEST_WAIT)).await;
            tries += 1;
        }
    }
}

/// What speaks to other LRSs; clones share its connections.
pub fn client(ca_file: Option<&Path>, timeout: Duration) -> Result<Client, TransferError> {
    let tls = tls::client_config(ca_file)?;
    let client = Client::builder().tls_backend_preconfigured(tls).connect_timeout(CONNECT_TIMEOUT).timeout(timeout);
    client.redirect(Policy::none()).build().map_err(refused)
}

fn common(theirs: &[String]) -> Option<&'static str> {
    VERSIONS.into_iter().find(|ours| theirs.iter().any(|version| version == ours))
}

fn is_for_a_while(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 500 | 502 | 503 | 504)
}

/// What `Retry-After` says: seconds, or a date, which is looked at by the other side's own clock.
fn after(answer: &Response) -> Option<Duration> {
    let text = |name: &str| answer.headers().get(name)?.to_str().ok().map(str::trim);
    let after = text("Retry-After")?;
    let date = |text: &str| DateTime::parse_from_rfc2822(text).ok();
    after.parse().map(Duration::from_secs).ok().or_else(|| (date(after)? - date(text("Date")?)?).to_std().ok())
}

/// A moment of a header: HTTP's form, or the one that xAPI has for its own.
fn moment(text: &str) -> Option<DateTime<Utc>> {
    let http = || DateTime::parse_from_rfc2822(text).ok().map(|moment| moment.to_utc());
    timestamp::parse(text).or_else(http)
}

/// What the headers of an answer say.
struct Head {
    content_type: String,
    through: Option<DateTime<Utc>>,
    modified: Option<DateTime<Utc>>,
}

impl Head {
    /// What an answer says, and the bytes that came with it.
    fn taken_apart<T: DeserializeOwned>(&self, body: Vec<u8>) -> Result<(T, Attachments), TransferError> {
        let (json, attachments) = match boundary(&self.content_type) {
            Ok(boundary) => parts(&boundary, &body)?,
            Err(_) => (body, Vec::new()),
        };
        let said = serde_json::from_slice(&json);
        said.map(|said| (said, attachments)).map_err(|error| refused(format!("an answer cannot be read: {error}")))
    }
}

async fn read(mut answer: Response) -> Result<(Head, Vec<u8>), TransferError> {
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let through = header("X-Experience-API-Consistent-Through").and_then(|text| timestamp::parse(&text));
    let modified = header("Last-Modified").and_then(|text| moment(&text));
    let head = Head { content_type: header("Content-Type").unwrap_or_default(), through, modified };
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| refused(error.without_url()))? {
        body.extend_from_slice(&piece);
        if body.len() > LARGEST_ANSWER {
            return Err(refused(format!(
                "an answer has more than {LARGEST_ANSWER} bytes; of statements ask for fewer with --page"
            )));
        }
    }
    Ok((head, body))
}

/// The statements of a page, and the bytes that came with them.
fn parts(boundary: &str, body: &[u8]) -> Result<(Vec<u8>, Attachments), TransferError> {
    let limits = Limits { multipart_bytes: LARGEST_ANSWER, multipart_parts: 100_000, ..Limits::default() };
    let mut parser = Parser::new(boundary, &limits);
    parser.push(body).map_err(refused)?;
    parser.finish();
    let mut found = Attachments::new();
    while let Some(event) = parser.next_event().map_err(refused)? {
        match event {
            Event::Part(headers) => {
                let hash = headers.get("X-Experience-API-Hash").unwrap_or_default().to_ascii_lowercase();
                found.push((hash, Vec::new()));
            }
            Event::Data(bytes) => {
                if let Some((_, content)) = found.last_mut() {
                    content.extend_from_slice(&bytes);
                }
            }
            Event::PartEnd => {}
            Event::End => break,
        }
    }
    if found.is_empty() {
        return Err(refused("an answer has no parts"));
    }
    let (_, json) = found.remove(0);
    Ok((json, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_that_both_speak_is_taken() {
        let speaks = |versions: &[&str]| common(&versions.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
        assert_eq!(speaks(&["1.0.0", "1.0.3", "2.0.0"]), Some("2.0.0"));
        assert_eq!(speaks(&["0.95", "1.0.1"]), Some("1.0.1"));
        assert_eq!(speaks(&["3.0.0"]), None);
    }

    #[test]
    fn a_page_with_attachments_is_taken_apart() {
        let body = "--b\r\nContent-Type: application/json\r\n\r\n{\"statements\":[]}\r\n--b\r\nX-Experience-API-Hash: AB\r\n\r\nhello\r\n--b--\r\n";
        let (json, attachments) = parts("b", body.as_bytes()).unwrap();
        assert_eq!(json, b"{\"statements\":[]}");
        assert_eq!(attachments, [("ab".to_owned(), b"hello".to_vec())]);
    }
}
