//! The beginning of a conversation: who it is, and the proof.

use std::{io, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::{SinkExt, StreamExt};
use pgwire::{
    api::{ClientInfo, PgWireConnectionState},
    error::ErrorInfo,
    messages::{
        PgWireBackendMessage as Answer, PgWireFrontendMessage as Message,
        response::{ReadyForQuery, TransactionStatus},
        startup::{Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey, Startup},
    },
};

use super::{
    cancel::{Cancels, Registered},
    logins::Logins,
    scram::{self, Verifier},
    socket::Socket,
};
use crate::{data::reach::Reach, fault::Fault};

/// Of protocol 3.0, which every client knows.
const PROTOCOL: i32 = 196_608;
/// From 15 on foreign tables declare a cursor anew instead of moving back in it.
const SERVER_VERSION: &str = "16.0 (progress-gateway)";

/// What a login needs.
pub struct Desk {
    pub logins: Logins,
    pub cancels: Cancels,
    /// Whether only encrypted connections are taken.
    pub encrypted: bool,
    /// Of this process: what stands in for the verifiers of names that nobody has.
    pub secret: [u8; 32],
}

/// Somebody who has proven who it is.
pub struct Guest {
    pub name: String,
    pub reach: Reach,
    pub registered: Registered,
}

/// Sends the last words of a conversation.
pub async fn refuse(socket: &mut Socket, fault: Fault) -> io::Result<()> {
    let info: ErrorInfo = fault.info("FATAL");
    socket.send(Answer::ErrorResponse(info.into())).await?;
    socket.close().await
}

/// The name that a client gives; `None` where it only came to cancel, or went.
pub async fn name(socket: &mut Socket, desk: Arc<Desk>) -> io::Result<Option<String>> {
    match socket.next().await {
        None => Ok(None),
        Some(Ok(Message::CancelRequest(request))) => {
            desk.cancels.cancel(request.pid, &request.secret_key);
            Ok(None)
        }
        Some(Ok(Message::Startup(startup))) => match greeted(socket, desk.encrypted, startup).await? {
            Ok(name) => Ok(Some(name)),
            Err(fault) => refuse(socket, fault).await.map(|()| None),
        },
        Some(Ok(_) | Err(_)) => Ok(None),
    }
}

async fn greeted(socket: &mut Socket, encrypted: bool, startup: Startup) -> io::Result<Result<String, Fault>> {
    if startup.protocol_number_major != 3 {
        return Ok(Err(Fault::new("08P01", "only version 3 of the protocol is spoken")));
    }
    if startup.protocol_number_minor > 0 {
        let negotiated = NegotiateProtocolVersion::new(PROTOCOL, Vec::new());
        socket.send(Answer::NegotiateProtocolVersion(negotiated)).await?;
    }
    let said = |name: &str| startup.parameters.get(name).map(String::as_str);
    if encrypted && !socket.is_secure() {
        return Ok(Err(Fault::new(
            "28000",
            "the gateway takes encrypted connections only: set sslmode to require or more",
        )));
    }
    if said("replication").is_some_and(|value| !matches!(value, "false" | "off" | "no" | "0")) {
        return Ok(Err(Fault::unsupported("replication")));
    }
    if let Some(encoding) = said("client_encoding")
        && !matches!(encoding.to_ascii_uppercase().replace('-', "").as_str(), "UTF8" | "UNICODE" | "AUTO")
    {
        return Ok(Err(Fault::new("22023", format!("texts are in UTF8, not in client_encoding {encoding:?}"))));
    }
    Ok(said("user").map(str::to_owned).ok_or_else(|| Fault::new("28000", "no user name was given")))
}

/// The proof. `None` where there is none; the client was told.
pub async fn prove(socket: &mut Socket, desk: Arc<Desk>, name: String) -> io::Result<Option<Guest>> {
    socket.set_state(PgWireConnectionState::AuthenticationInProgress);
    match proven(socket, Arc::clone(&desk), name.clone()).await? {
        Ok(reach) => {
            let registered = desk.cancels.register();
            welcome(socket, registered.number, registered.secret.clone()).await?;
            Ok(Some(Guest { name, reach, registered }))
        }
        Err(fault) => {
            tracing::warn!(login = name, reason = %fault, "a login failed");
            refuse(socket, fault).await.map(|()| None)
        }
    }
}

async fn proven(socket: &mut Socket, desk: Arc<Desk>, name: String) -> io::Result<Result<Reach, Fault>> {
    let wrong = || Fault::new("28P01", format!("password authentication failed for user {name:?}"));
    let broken = |why: &str| Fault::new("08P01", format!("the login does not go as SCRAM-SHA-256 does: {why}"));
    let (reach, verifier) = match desk.logins.find(&name) {
        Ok(Some((reach, verifier))) => (Some(reach), verifier),
        Ok(None) => (None, Verifier::of_nobody(&name, &desk.secret)),
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the logins cannot be read");
            return Ok(Err(Fault::new("58030", "the gateway cannot read its logins; its log says why")));
        }
    };
    socket.send(Answer::Authentication(Authentication::SASL(vec![scram::MECHANISM.to_owned()]))).await?;
    let Some(Ok(Message::PasswordMessageFamily(first))) = socket.next().await else { return Ok(Err(wrong())) };
    let first = match first.into_sasl_initial_response() {
        Ok(first) if first.auth_method == scram::MECHANISM => first.data.unwrap_or_default(),
        _ => return Ok(Err(broken("another mechanism"))),
    };
    let nonce = BASE64_STANDARD.encode(rand::random::<[u8; 18]>());
    let (exchange, answer) = match scram::begin(verifier, &first, &nonce) {
        Ok(begun) => begun,
        Err(why) => return Ok(Err(broken(why))),
    };
    socket.send(Answer::Authentication(Authentication::SASLContinue(answer.into()))).await?;
    let Some(Ok(Message::PasswordMessageFamily(last))) = socket.next().await else { return Ok(Err(wrong())) };
    let finished = match last.into_sasl_response() {
        Ok(last) => exchange.finish(&last.data),
        Err(_) => Err("no last message"),
    };
    match (finished, reach) {
        (Ok(Some(answer)), Some(reach)) => {
            socket.send(Answer::Authentication(Authentication::SASLFinal(answer.into()))).await?;
            Ok(Ok(reach))
        }
        (Ok(_), _) => Ok(Err(wrong())),
        (Err(why), _) => Ok(Err(broken(why))),
    }
}

async fn welcome(socket: &mut Socket, number: i32, secret: SecretKey) -> io::Result<()> {
    socket.feed(Answer::Authentication(Authentication::Ok)).await?;
    for (name, value) in [
        ("server_version", SERVER_VERSION),
        ("server_encoding", "UTF8"),
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO, YMD"),
        ("IntervalStyle", "postgres"),
        ("TimeZone", "GMT"),
        ("integer_datetimes", "on"),
        ("standard_conforming_strings", "on"),
        ("default_transaction_read_only", "on"),
        ("is_superuser", "off"),
    ] {
        socket.feed(Answer::ParameterStatus(ParameterStatus::new(name.to_owned(), value.to_owned()))).await?;
    }
    let key = BackendKeyData::new(number, secret);
    socket.feed(Answer::BackendKeyData(key)).await?;
    socket.send(Answer::ReadyForQuery(ReadyForQuery::new(TransactionStatus::Idle))).await?;
    socket.set_state(PgWireConnectionState::ReadyForQuery);
    Ok(())
}
