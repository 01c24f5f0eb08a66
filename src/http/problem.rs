//! `application/problem+json` (RFC 9457): how `/api/v1` and the admin endpoints say what went wrong.

use actix_web::{HttpResponse, ResponseError, body::BoxBody, http::StatusCode};

use super::HttpError;

/// The same error as on the xAPI surface, under the media type that API clients look for.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Problem(pub HttpError);

impl<E: Into<HttpError>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.status_code()
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        self.0.answer("application/problem+json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_media_type_differs_from_the_xapi_surface() {
        let error = || HttpError::NotFound("no such attempt".to_owned());
        let (problem, plain) = (Problem(error()).error_response(), error().error_response());
        assert_eq!(problem.status(), plain.status());
        assert_eq!(problem.headers().get("content-type").unwrap(), "application/problem+json");
        assert_eq!(plain.headers().get("content-type").unwrap(), "application/json");
    }
}
