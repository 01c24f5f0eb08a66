//! A message to a receiver: signed, sent once, and what its answer means. The headers are those of Standard Webhooks, for which most
//! languages have what verifies them.

use std::{path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use reqwest::{Client, Response, Url, redirect::Policy};
use ring::hmac;

use crate::{
    model::{Event, causes},
    store::{StoreError, door::tls},
};

/// The longest that one message takes.
pub const ANSWER: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(5);
/// What is read of an answer, so that the connection serves the next message; of more, or of what drips, it is let go.
const READ: usize = 16 << 10;
const DRIP: Duration = Duration::from_secs(1);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(transparent)]
    Tls(#[from] StoreError),
    #[error(transparent)]
    Http(#[from] reqwest::Error),
}

/// Somebody who listens, as the configuration says it.
#[derive(Clone)]
pub struct Listener {
    pub name: String,
    pub url: Url,
    /// Absent: its messages are not signed.
    pub key: Option<hmac::Key>,
}

impl Listener {
    pub fn new(name: String, url: Url, key: Option<&[u8]>) -> Self {
        Self { name, url, key: key.map(|key| hmac::Key::new(hmac::HMAC_SHA256, key)) }
    }
}

/// What speaks to receivers: it goes where the configuration says, and nowhere on from there.
pub fn client(ca_file: Option<&Path>) -> Result<Client, ClientError> {
    let tls = tls::client_config(ca_file)?;
    let client = Client::builder().tls_backend_preconfigured(tls).connect_timeout(CONNECT).timeout(ANSWER);
    Ok(client.redirect(Policy::none()).build()?)
}

/// Sends a message once; `Err`: why it does not count as told. The address is not in it: that may be a secret.
pub async fn post(client: &Client, to: &Listener, event: &Event, now: DateTime<Utc>) -> Result<(), String> {
    let body = event.to_json().map_err(|error| error.to_string())?;
    let mut request = client
        .post(to.url.clone())
        .header("Content-Type", "application/cloudevents+json")
        .header("webhook-id", &event.id)
        .header("webhook-timestamp", now.timestamp());
    if let Some(key) = &to.key {
        request = request.header("webhook-signature", signature(key, &event.id, now.timestamp(), &body));
    }
    let answer = request.body(body).send().await;
    let answer = answer.map_err(|error| causes::in_one_line(&error.without_url()))?;
    let status = answer.status();
    let _in_time = tokio::time::timeout(DRIP, read(answer)).await;
    match status.as_u16() {
        200..=299 => Ok(()),
        300..=399 => Err(format!("it answers {status}, and is not followed elsewhere")),
        _ => Err(format!("it answers {status}")),
    }
}

/// Over the id, the time and the body, so that none of them can be exchanged.
fn signature(key: &hmac::Key, id: &str, timestamp: i64, body: &str) -> String {
    let signed = hmac::sign(key, format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(signed.as_ref()))
}

async fn read(mut answer: Response) {
    let mut left = READ;
    while let Ok(Some(piece)) = answer.chunk().await {
        match left.checked_sub(piece.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_standard_webhooks() {
        // The example of its specification.
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let signed = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
