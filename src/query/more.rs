//! The opaque token of a `more` link: the query and where to go on, bound to its tenant and sealed against change.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use ring::hmac;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::model::TenantId;

/// Bytes of the seal: 128 bits are beyond guessing.
const SEAL: usize = 16;

/// What the next page needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct More {
    /// The parameters of the first request.
    #[serde(rename = "q")]
    pub given: Vec<(String, String)>,
    /// `stored` of the last statement shown.
    #[serde(rename = "a", with = "chrono::serde::ts_microseconds")]
    pub after: DateTime<Utc>,
}

impl More {
    pub fn seal(&self, key: &[u8], tenant: TenantId) -> String {
        let mut token = serde_json::to_vec(self).unwrap_or_default();
        token.extend_from_slice(&seal(key, tenant, &token));
        URL_SAFE_NO_PAD.encode(token)
    }

    /// The token's content, if this service made it for this tenant.
    pub fn open(token: &str, key: &[u8], tenant: TenantId) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (content, sealed) = bytes.split_at_checked(bytes.len().checked_sub(SEAL)?)?;
        let genuine: bool = seal(key, tenant, content).ct_eq(sealed).into();
        if genuine { serde_json::from_slice(content).ok() } else { None }
    }
}

fn seal(key: &[u8], tenant: TenantId, content: &[u8]) -> [u8; SEAL] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    context.update(tenant.0.as_bytes());
    context.update(content);
    let mut seal = [0; SEAL];
    seal.copy_from_slice(&context.sign().as_ref()[..SEAL]);
    seal
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn more() -> More {
        More {
            given: vec![("verb".to_owned(), "http://x.example/ü?&=".to_owned()), ("limit".to_owned(), "3".to_owned())],
            after: DateTime::from_timestamp_micros(1_795_249_444_225_209).unwrap(),
        }
    }

    #[test]
    fn opens_what_it_sealed() {
        let token = more().seal(KEY, TenantId::DEFAULT);
        assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        assert_eq!(More::open(&token, KEY, TenantId::DEFAULT), Some(more()));
    }

    #[test]
    fn refuses_other_tenants_other_keys_and_any_change() {
        let token = more().seal(KEY, TenantId::DEFAULT);
        assert_eq!(More::open(&token, KEY, TenantId(uuid::Uuid::nil())), None);
        assert_eq!(More::open(&token, b"another key", TenantId::DEFAULT), None);
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            // The last character carries two bits that stand for nothing; decoding refuses them if set.
            assert!(More::open(&changed, KEY, TenantId::DEFAULT).is_none(), "{at}");
        }
        for short in ["", "AA", "AAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(More::open(short, KEY, TenantId::DEFAULT), None);
        }
    }
}
