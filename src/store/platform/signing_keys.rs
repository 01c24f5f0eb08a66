//! Keys that all nodes share to sign what they hand out.

use crate::store::{As, Store, StoreError, door::tx::column};

impl Store {
    /// The key of a purpose; the first caller makes it.
    pub async fn signing_key(&self, purpose: &'static str) -> Result<Vec<u8>, StoreError> {
        self.run_tx("signing_key", As::Nobody, |tx| {
            Box::pin(async move {
                let row = tx
                    .query_one("/* signing_keys::signing_key */ SELECT platform.signing_key($1) AS key", &[&purpose])
                    .await?;
                column(&row, "key")
            })
        })
        .await
    }
}
