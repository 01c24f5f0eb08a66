//! An archive that is sent while it is made, and broken off where that fails: half of one is no answer.

use std::fmt::Display;

use actix_web::{HttpResponse, http::header, web::Bytes};
use tokio::{sync::mpsc::Receiver, task::JoinHandle};

use crate::http::HttpError;

/// The answer, once its first piece is there: what is wrong before that is told as an error. Who makes it ends when nobody takes it.
pub async fn zipped<E: Display + Into<HttpError> + Send + 'static>(
    mut from: Receiver<Vec<u8>>,
    work: JoinHandle<Result<(), E>>,
    name: &str,
) -> Result<HttpResponse, HttpError> {
    let Some(first) = from.recv().await else {
        return Err(match work.await {
            Ok(Err(error)) => error.into(),
            Ok(Ok(())) => HttpError::internal("an archive has nothing in it"),
            Err(error) => HttpError::internal(error),
        });
    };
    let named = format!("attachment; filename=\"{name}.zip\"");
    let mut answer = HttpResponse::Ok();
    answer.insert_header((header::CONTENT_TYPE, "application/zip")).insert_header((header::CONTENT_DISPOSITION, named));
    Ok(answer.streaming(pieces(first, from, work)))
}

/// What comes, and at the end whether that was all.
fn pieces<E: Display>(
    first: Vec<u8>,
    from: Receiver<Vec<u8>>,
    work: JoinHandle<Result<(), E>>,
) -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> {
    futures_util::stream::unfold(Some((Some(first), from, work)), |state| async move {
        let (first, mut from, work) = state?;
        let next = match first {
            Some(first) => Some(first),
            None => from.recv().await,
        };
        if let Some(piece) = next {
            return Some((Ok(Bytes::from(piece)), Some((None, from, work))));
        }
        let failed = match work.await {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(error = failed, "an export broke off");
        Some((Err(std::io::Error::other(failed)), None))
    })
}
