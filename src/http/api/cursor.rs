//! The opaque place between two pages: sealed, and bound to its tenant, its path and the filters it was made for.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use subtle::ConstantTimeEq;
use url::form_urlencoded;

use super::query::{PAGE_CURSOR, Parameters, refuse};
use crate::{http::HttpError, model::TenantId};

/// Bytes of the seal: 128 bits are beyond guessing.
const SEAL: usize = 16;

/// Where pages of one request begin and go on.
pub struct Pages<'r> {
    pub key: &'r [u8],
    pub tenant: TenantId,
    /// As the client wrote it.
    pub path: &'r str,
    pub parameters: &'r Parameters,
}

impl Pages<'_> {
    /// Where the page that is asked for begins; `None` at the first.
    pub fn place(&self) -> Result<Option<String>, HttpError> {
        let Some(cursor) = self.parameters.text(PAGE_CURSOR) else { return Ok(None) };
        let place = self.open(cursor);
        place.map(Some).ok_or_else(|| refuse(PAGE_CURSOR, "it was not made here for this path with these parameters"))
    }

    /// The link to the page after `place`.
    pub fn link(&self, place: &str) -> String {
        let mut sealed = place.as_bytes().to_vec();
        sealed.extend_from_slice(&self.seal(place.as_bytes()));
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.parameters.without_cursor());
        query.append_pair(PAGE_CURSOR, &URL_SAFE_NO_PAD.encode(sealed));
        format!("{}?{}", self.path, query.finish())
    }

    fn open(&self, cursor: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (place, sealed) = bytes.split_at_checked(bytes.len().checked_sub(SEAL)?)?;
        let genuine: bool = self.seal(place).ct_eq(sealed).into();
        if genuine { String::from_utf8(place.to_vec()).ok() } else { None }
    }

    /// Lengths go before the parts, so that no two requests seal alike.
    fn seal(&self, place: &[u8]) -> [u8; SEAL] {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, self.key));
        let mut add = |part: &[u8]| {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        };
        add(self.tenant.0.as_bytes());
        add(self.path.as_bytes());
        for (name, value) in self.parameters.filters() {
            add(name.as_bytes());
            add(value.as_bytes());
        }
        add(place);
        let mut seal = [0; SEAL];
        seal.copy_from_slice(&context.sign().as_ref()[..SEAL]);
        seal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 2] = ["filter[state]", PAGE_CURSOR];

    fn place(link: &str, tenant: TenantId, more: &str) -> Result<Option<String>, HttpError> {
        let (path, query) = link.split_once('?').unwrap();
        let parameters = Parameters::read(&format!("{query}{more}"), &KNOWN).unwrap();
        Pages { key: b"key", tenant, path, parameters: &parameters }.place()
    }

    fn link(query: &str) -> String {
        let parameters = Parameters::read(query, &KNOWN).unwrap();
        Pages { key: b"key", tenant: TenantId::DEFAULT, path: "/p", parameters: &parameters }.link("ß/7")
    }

    #[test]
    fn a_link_leads_to_its_place() {
        let link = link("filter[state]=open");
        assert!(link.starts_with("/p?filter%5Bstate%5D=open&page%5Bcursor%5D="), "{link}");
        assert_eq!(place(&link, TenantId::DEFAULT, "").unwrap().as_deref(), Some("ß/7"));
    }

    #[test]
    fn a_cursor_is_of_no_use_elsewhere() {
        let own = link("");
        assert!(place(&own, TenantId(uuid::Uuid::nil()), "").is_err());
        assert!(place(&own, TenantId::DEFAULT, "&filter%5Bstate%5D=open").is_err());
        assert!(place(&own.replace("/p?", "/q?"), TenantId::DEFAULT, "").is_err());
        assert!(place(&own[..own.len() - 2], TenantId::DEFAULT, "").is_err());
        assert!(place("/p?page[cursor]=", TenantId::DEFAULT, "").is_err());
    }
}
