//! Who is let in: as many clients as are allowed, each in a task of its own.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    login::{self, Desk},
    session::Session,
    socket::{self, Tls},
    talk::Talk,
};
use crate::{
    data::{shelf::Shelf, table::Tables},
    engine::Engine,
    fault::Fault,
};

/// How long a login may take, from the first byte to the last.
const PATIENCE: Duration = Duration::from_secs(30);
/// So many more than are allowed hear why they are turned away; others are hung up on.
const AT_THE_DOOR: usize = 16;

pub struct Gateway {
    pub desk: Arc<Desk>,
    pub tls: Option<Tls>,
    pub shelf: Shelf,
    pub engine: Engine,
    pub max_connections: usize,
}

/// A gateway that listens.
pub struct Listening {
    listener: TcpListener,
    gateway: Arc<Gateway>,
}

impl Gateway {
    pub async fn listen(self, address: SocketAddr) -> io::Result<Listening> {
        let listener = TcpListener::bind(address).await?;
        Ok(Listening { listener, gateway: Arc::new(self) })
    }

    /// One conversation, to its end.
    async fn talk(&self, stream: TcpStream, place: Option<OwnedSemaphorePermit>) -> io::Result<()> {
        let arrived = timeout(PATIENCE, async {
            let mut socket = socket::open(stream, self.tls.as_ref()).await?;
            let Some(name) = login::name(&mut socket, Arc::clone(&self.desk)).await? else { return Ok(None) };
            if place.is_none() {
                let full = format!(
                    "{} clients are connected, and gateway.max_connections allows no more",
                    self.max_connections
                );
                return login::refuse(&mut socket, Fault::new("53300", full)).await.map(|()| None);
            }
            let guest = login::prove(&mut socket, Arc::clone(&self.desk), name).await?;
            Ok::<_, io::Error>(guest.map(|guest| (socket, guest)))
        });
        let Ok(arrived) = arrived.await else { return Ok(()) };
        let Some((socket, guest)) = arrived? else { return Ok(()) };
        tracing::info!(login = guest.name, "connected");
        let tables = Tables { shelf: self.shelf.clone(), reach: guest.reach };
        Session::new(Talk::new(socket, guest.registered), self.engine.clone(), tables).run().await
    }
}

impl Listening {
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Until it is dropped.
    pub async fn serve(self) {
        let places = Arc::new(Semaphore::new(self.gateway.max_connections));
        let door = Arc::new(Semaphore::new(AT_THE_DOOR));
        loop {
            let (stream, address) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, as a rule: some come free.
                    tracing::warn!(%error, "a connection cannot be taken");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let place = Arc::clone(&places).try_acquire_owned().ok();
            let waiting = match &place {
                Some(_) => None,
                None => match Arc::clone(&door).try_acquire_owned() {
                    Ok(waiting) => Some(waiting),
                    Err(_) => continue,
                },
            };
            let gateway = Arc::clone(&self.gateway);
            tokio::spawn(async move {
                if let Err(error) = gateway.talk(stream, place).await {
                    tracing::debug!(%address, %error, "a connection ended");
                }
                drop(waiting);
            });
        }
    }
}
