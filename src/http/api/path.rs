//! What stands in the path of an address.

use uuid::Uuid;

use crate::{http::HttpError, identity::IdentityError};

/// Something that is no id names nothing.
pub fn path_id(text: &str, what: &'static str) -> Result<Uuid, HttpError> {
    text.parse().map_err(|_| IdentityError::NotFound(what).into())
}
