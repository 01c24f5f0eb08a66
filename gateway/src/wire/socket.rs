//! From an accepted connection to one that speaks the protocol: encryption, where it is asked for.

use std::{io, path::PathBuf, sync::Arc};

use pgwire::{
    api::{ClientInfo, DefaultClient, PgWireConnectionState},
    tokio::server::PgWireMessageServerCodec,
};
use progress_service::config;
use rustls::{ServerConfig, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{codec::Framed, either::Either};

pub type Socket = Framed<Either<TcpStream, Box<TlsStream<TcpStream>>>, PgWireMessageServerCodec<()>>;

/// A request of eight bytes: its length, and one of these.
const ASKS_TLS: u32 = 80_877_103;
const ASKS_GSS: u32 = 80_877_104;
/// By which a client that begins with TLS says what it wants in it.
const ALPN: &[u8] = b"postgresql";

/// The two files of a certificate. They are read for each connection, so that a new one counts at once.
#[derive(Clone, Debug)]
pub struct Tls {
    cert: PathBuf,
    key: PathBuf,
}

impl Tls {
    /// Looks whether the files can be used.
    pub fn open(gateway: &config::Gateway) -> anyhow::Result<Option<Self>> {
        let Some((cert, key)) = gateway.tls_cert_file.clone().zip(gateway.tls_key_file.clone()) else {
            return Ok(None);
        };
        let tls = Self { cert, key };
        tls.acceptor()?;
        Ok(Some(tls))
    }

    fn acceptor(&self) -> anyhow::Result<TlsAcceptor> {
        let chain: Vec<_> = CertificateDer::pem_file_iter(&self.cert)
            .and_then(Iterator::collect)
            .map_err(|error| anyhow::anyhow!("{}: {error}", self.cert.display()))?;
        let key = PrivateKeyDer::from_pem_file(&self.key);
        let key = key.map_err(|error| anyhow::anyhow!("{}: {error}", self.key.display()))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// The connection, ready for its startup message.
pub async fn open(mut stream: TcpStream, tls: Option<&Tls>) -> io::Result<Socket> {
    let address = stream.peer_addr()?;
    stream.set_nodelay(true)?;
    loop {
        match (asked(&stream).await?, tls) {
            (Asked::Tls { directly }, Some(tls)) => {
                if !directly {
                    stream.read_exact(&mut [0; 8]).await?;
                    stream.write_all(b"S").await?;
                }
                let acceptor = tls.acceptor().map_err(io::Error::other)?;
                let stream = acceptor.accept(stream).await?;
                if directly && stream.get_ref().1.alpn_protocol() != Some(ALPN) {
                    return Err(io::Error::other("TLS was begun at once, and not for this protocol"));
                }
                return Ok(framed(Either::Right(Box::new(stream)), address, true));
            }
            (Asked::Tls { directly: true }, None) => {
                return Err(io::Error::other("TLS was begun, and gateway.tls_cert_file is not set"));
            }
            // Whoever prefers encryption goes on without; whoever needs it hangs up.
            (Asked::Tls { directly: false } | Asked::Gss, _) => {
                stream.read_exact(&mut [0; 8]).await?;
                stream.write_all(b"N").await?;
            }
            (Asked::Nothing, _) => return Ok(framed(Either::Left(stream), address, false)),
        }
    }
}

enum Asked {
    Tls { directly: bool },
    Gss,
    Nothing,
}

async fn asked(stream: &TcpStream) -> io::Result<Asked> {
    let mut first = [0; 1];
    if stream.peek(&mut first).await? == 1 && first[0] == 0x16 {
        return Ok(Asked::Tls { directly: true });
    }
    Ok(match peeked(stream).await {
        Some(ASKS_TLS) => Asked::Tls { directly: false },
        Some(ASKS_GSS) => Asked::Gss,
        _ => Asked::Nothing,
    })
}

/// What a request of eight bytes asks, without taking it.
async fn peeked(stream: &TcpStream) -> Option<u32> {
    let mut request = [0; 8];
    loop {
        match stream.peek(&mut request).await {
            Ok(8) => break,
            Ok(0) | Err(_) => return None,
            // The rest is on its way.
            Ok(_) => tokio::task::yield_now().await,
        }
    }
    let [a, b, c, d, e, f, g, h] = request;
    (u32::from_be_bytes([a, b, c, d]) == 8).then(|| u32::from_be_bytes([e, f, g, h]))
}

fn framed(stream: Either<TcpStream, Box<TlsStream<TcpStream>>>, address: std::net::SocketAddr, secure: bool) -> Socket {
    let mut socket = Framed::new(stream, PgWireMessageServerCodec::new(DefaultClient::new(address, secure)));
    socket.set_state(PgWireConnectionState::AwaitingStartup);
    socket
}
