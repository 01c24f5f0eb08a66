//! What the other side refused is sent once more, when somebody asks for it: each statement by itself, and out of its order.

use chrono::TimeDelta;

use super::{
    Forwarder,
    deliver::{Verdict, deliver},
    parcel::{body, outgoing, pack},
};
use crate::{
    store::{
        As,
        progress::forwards::{self as rows, Again, Forward, Refusal},
    },
    transfer::TransferError,
};

impl Forwarder {
    /// Sends one refused statement again, and notes what became of it. An error where the other side says nothing of it: it is still
    /// refused then, as it was.
    pub async fn again(&self, one: &Forward, refused: &Refusal) -> Result<Again, TransferError> {
        let again = self.sent_again(one, refused).await?;
        let noting =
            self.store().run_once("forward_again", As::Worker, |tx| Box::pin(rows::again(tx, one, refused, &again)));
        noting.await?;
        Ok(again)
    }

    async fn sent_again(&self, one: &Forward, refused: &Refusal) -> Result<Again, TransferError> {
        let remote = self.remote(&one.target).await?;
        let moment = TimeDelta::microseconds(1);
        let mut lines = self.cold.lines(one.tenant, refused.stored - moment, refused.stored + moment, 1);
        let (shown, _) = self.shown(one, Box::pin(lines.next()).await?).await?;
        let Some(line) = shown.into_iter().find(|line| line.id == refused.id) else { return Ok(Again::Gone) };
        let document = outgoing(&line, remote.version())?;
        let parcel = pack(self.store(), one.tenant, line, document).await?;
        if let Some(why) = parcel.lacks {
            return Ok(Again::Refused(why.to_owned()));
        }
        let parcel = std::slice::from_ref(&parcel);
        match deliver(&remote, parcel, body(self.store(), one.tenant, parcel, self.ids.uuid()).await?).await? {
            Verdict::Taken => Ok(Again::Taken),
            Verdict::Refused(why) => Ok(Again::Refused(why)),
            Verdict::Later { why, .. } => Err(TransferError::Refused(format!("{why}: try it again later"))),
        }
    }
}
