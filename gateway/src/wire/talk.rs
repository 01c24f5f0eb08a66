//! What passes between the gateway and one client, and who may end a query early: whoever cancels, and a client that goes.

use std::{collections::VecDeque, io};

use futures_util::{SinkExt, StreamExt};
use pgwire::messages::{
    PgWireBackendMessage as Answer, PgWireFrontendMessage as Message,
    data::DataRow,
    response::{CommandComplete, ReadyForQuery, TransactionStatus},
};
use tokio_util::sync::CancellationToken;

use super::{cancel::Registered, rows, socket::Socket};
use crate::{fault::Fault, sql::scope::Outputs};

/// Messages that may wait while a query runs; then the client waits.
const MOST_WAITING: usize = 32;

pub enum Trouble {
    Fault(Fault),
    Gone(io::Error),
}

impl<F: Into<Fault>> From<F> for Trouble {
    fn from(fault: F) -> Self {
        Self::Fault(fault.into())
    }
}

fn gone(error: io::Error) -> Trouble {
    Trouble::Gone(error)
}

pub struct Talk {
    socket: Socket,
    registered: Registered,
    token: CancellationToken,
    waiting: VecDeque<Message>,
}

impl Talk {
    pub fn new(socket: Socket, registered: Registered) -> Self {
        let token = registered.cancel.begin();
        Self { socket, registered, token, waiting: VecDeque::new() }
    }

    /// The next message; what was cancelled before it counts no more.
    pub async fn receive(&mut self) -> io::Result<Option<Message>> {
        let message = match self.waiting.pop_front() {
            Some(message) => Some(message),
            None => self.socket.next().await.transpose().map_err(io::Error::other)?,
        };
        self.token = self.registered.cancel.begin();
        Ok(message)
    }

    /// Says something that is sent with what follows.
    pub async fn say(&mut self, answer: Answer) -> Result<(), Trouble> {
        self.socket.feed(answer).await.map_err(gone)
    }

    pub async fn done(&mut self, tag: &str) -> Result<(), Trouble> {
        self.say(Answer::CommandComplete(CommandComplete::new(tag.to_owned()))).await
    }

    pub async fn row(&mut self, row: DataRow) -> Result<(), Trouble> {
        self.say(Answer::DataRow(row)).await
    }

    pub async fn describe(&mut self, outputs: &Outputs) -> Result<(), Trouble> {
        self.say(Answer::RowDescription(rows::description(outputs))).await
    }

    pub async fn ready(&mut self, status: TransactionStatus) -> io::Result<()> {
        self.socket.send(Answer::ReadyForQuery(ReadyForQuery::new(status))).await
    }

    pub async fn fail(&mut self, fault: &Fault) -> io::Result<()> {
        self.socket.send(Answer::ErrorResponse(fault.info("ERROR").into())).await
    }

    pub async fn flush(&mut self) -> Result<(), Trouble> {
        self.socket.flush().await.map_err(gone)
    }

    pub async fn close(&mut self) -> io::Result<()> {
        self.socket.close().await
    }

    /// Does some work, and leaves it where somebody cancels it or the client goes.
    pub async fn unless_cancelled<T>(&mut self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Trouble> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                () = self.token.cancelled() => return Err(Fault::cancelled().into()),
                done = &mut work => return Ok(done?),
                message = self.socket.next(), if self.waiting.len() < MOST_WAITING => match message {
                    Some(Ok(message)) => self.waiting.push_back(message),
                    Some(Err(error)) => return Err(gone(io::Error::other(error))),
                    None => return Err(gone(io::ErrorKind::UnexpectedEof.into())),
                },
            }
        }
    }
}
