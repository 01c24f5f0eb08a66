//! What stands before another LRS, and may be shut, or say that there is no time now.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::support::background;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Open,
    /// Every connection is cut.
    Shut,
    /// 503, and not before ten minutes.
    Busy,
}

pub(super) struct Gate {
    pub url: String,
    mode: watch::Sender<Mode>,
}

impl Gate {
    pub async fn before(url: &str) -> Self {
        let behind: SocketAddr = url.trim_start_matches("http://").parse().unwrap();
        let (mode, modes) = watch::channel(Mode::Open);
        let opening = background::runtime().spawn(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            tokio::spawn(async move {
                while let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(serve(client, behind, modes.clone()));
                }
            });
            url
        });
        Self { url: opening.await.unwrap(), mode }
    }

    /// Also for those who are connected.
    pub fn is(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn serve(mut client: TcpStream, behind: SocketAddr, mut modes: watch::Receiver<Mode>) {
    let mode = *modes.borrow_and_update();
    let served = async {
        match mode {
            Mode::Open => {
                let mut server = TcpStream::connect(behind).await.unwrap();
                copy_bidirectional(&mut client, &mut server).await.ok();
            }
            Mode::Shut => {}
            Mode::Busy => {
                let _how_much = client.read(&mut [0; 65_536]).await;
                let answer = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 600\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                client.write_all(answer.as_bytes()).await.ok();
            }
        }
    };
    tokio::select! {
        () = served => {}
        _ = modes.changed() => {}
    }
}
