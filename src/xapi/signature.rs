//! Signed statements (1.0.3 part two, 2.6): a compact JWS whose payload is the statement before it was signed. A certificate in
//! it is checked to catch mistakes; whom to trust is the reader's question, so neither dates nor issuers are judged here.

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use serde_json::{Map, Value};
use uuid::Uuid;
use x509_cert::{
    Certificate,
    der::{Decode, Encode},
};

use super::{
    Limits, Statement, Violation, Violations, compare, json,
    rules::table as rule,
    syntax::{self, timestamp},
};

/// Certificates in one chain.
const CHAIN: usize = 10;

/// Checks the signature of the request's statement number `index`.
pub fn check(index: usize, statement: &Statement, jws: &[u8], limits: &Limits) -> Result<(), Violations> {
    verify(statement.doc(), jws, limits).map_err(|fault| {
        let violation =
            Violation { statement: Some(index), pointer: fault.pointer, rule: fault.rule, message: fault.message };
        Violations(vec![violation])
    })
}

struct Fault {
    rule: &'static str,
    pointer: String,
    message: String,
}

fn fault(rule: &'static str, message: impl Into<String>) -> Fault {
    Fault { rule, pointer: String::new(), message: message.into() }
}

fn verify(statement: &Map<String, Value>, jws: &[u8], limits: &Limits) -> Result<(), Fault> {
    let malformed = |what: &str| fault(rule::SIGNATURE_JWS, format!("the signature {what}"));
    let text = std::str::from_utf8(jws).map_err(|_| malformed("is not text, so no JWS in compact form"))?.trim();
    let [header, payload, value] = text.split('.').collect::<Vec<_>>()[..] else {
        return Err(malformed("is not a JWS in compact form: three parts with dots between them"));
    };
    let decode = |part: &str, what: &str| {
        BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed(&format!("has a {what} that is not base64url")))
    };
    let signed = &text[..header.len() + 1 + payload.len()];
    let value = decode(value, "value")?;
    let header =
        object(&decode(header, "header")?, limits).map_err(|e| malformed(&format!("has a bad header: {e}")))?;
    let payload = object(&decode(payload, "payload")?, limits)
        .map_err(|e| fault(rule::SIGNATURE_PAYLOAD, format!("the signed statement cannot be read: {e}")))?;

    let algorithm = algorithm(&header)?;
    if header.contains_key("crit") {
        return Err(malformed("has critical header extensions, and none is understood here"));
    }
    if let Some(chain) = header.get("x5c") {
        let chain = certificates(chain)?;
        check_value(algorithm, &chain, signed.as_bytes(), &value)?;
        check_chain(&chain)?;
    }
    check_payload(statement, &payload)
}

fn object(text: &[u8], limits: &Limits) -> Result<Map<String, Value>, String> {
    match json::parse(text, limits) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err("it is not a JSON object".to_owned()),
        Err(violations) => Err(violations.to_string()),
    }
}

fn algorithm(header: &Map<String, Value>) -> Result<&'static dyn VerificationAlgorithm, Fault> {
    match header.get("alg").and_then(Value::as_str) {
        Some("RS256") => Ok(&signature::RSA_PKCS1_2048_8192_SHA256),
        Some("RS384") => Ok(&signature::RSA_PKCS1_2048_8192_SHA384),
        Some("RS512") => Ok(&signature::RSA_PKCS1_2048_8192_SHA512),
        _ => Err(fault(rule::SIGNATURE_ALGORITHM, "a signature's alg must be RS256, RS384 or RS512")),
    }
}

/// The chain of `x5c`, the signer's certificate first.
fn certificates(chain: &Value) -> Result<Vec<Certificate>, Fault> {
    let refused = |message: &str| fault(rule::SIGNATURE_CERTIFICATE, message);
    let chain = chain
        .as_array()
        .filter(|chain| (1..=CHAIN).contains(&chain.len()))
        .ok_or_else(|| refused(&format!("x5c must be a list of 1 to {CHAIN} certificates")))?;
    let read = |certificate: &Value| {
        let der = BASE64_STANDARD.decode(certificate.as_str()?).ok()?;
        Certificate::from_der(&der).ok()
    };
    let read: Option<_> = chain.iter().map(read).collect();
    read.ok_or_else(|| refused("x5c holds something that is no X.509 certificate in base64"))
}

fn check_value(
    algorithm: &'static dyn VerificationAlgorithm,
    chain: &[Certificate],
    signed: &[u8],
    value: &[u8],
) -> Result<(), Fault> {
    let key = UnparsedPublicKey::new(algorithm, public_key(&chain[0]));
    key.verify(signed, value).map_err(|_| {
        fault(
            rule::SIGNATURE_VALUE,
            "the signature does not verify with the key of its certificate (RSA, 2048 bits or more)",
        )
    })
}

fn check_chain(chain: &[Certificate]) -> Result<(), Fault> {
    for (i, pair) in chain.windows(2).enumerate() {
        let refused = |what: &str| fault(rule::SIGNATURE_CERTIFICATE, format!("certificate {i} of x5c {what}"));
        let (certificate, issuer) = (&pair[0], &pair[1]);
        let algorithm = issuing_algorithm(&certificate.signature_algorithm.oid.to_string())
            .ok_or_else(|| refused("is signed with an algorithm that is not known here"))?;
        let signed = certificate.tbs_certificate.to_der().map_err(|_| refused("cannot be encoded"))?;
        UnparsedPublicKey::new(algorithm, public_key(issuer))
            .verify(&signed, certificate.signature.raw_bytes())
            .map_err(|_| refused("is not signed by the one after it"))?;
    }
    Ok(())
}

fn issuing_algorithm(oid: &str) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match oid {
        "1.2.840.113549.1.1.5" => &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        "1.2.840.113549.1.1.11" => &signature::RSA_PKCS1_2048_8192_SHA256,
        "1.2.840.113549.1.1.12" => &signature::RSA_PKCS1_2048_8192_SHA384,
        "1.2.840.113549.1.1.13" => &signature::RSA_PKCS1_2048_8192_SHA512,
        "1.2.840.10045.4.3.2" => &signature::ECDSA_P256_SHA256_ASN1,
        "1.2.840.10045.4.3.3" => &signature::ECDSA_P384_SHA384_ASN1,
        "1.3.101.112" => &signature::ED25519,
        _ => return None,
    })
}

fn public_key(certificate: &Certificate) -> &[u8] {
    certificate.tbs_certificate.subject_public_key_info.subject_public_key.raw_bytes()
}

/// The payload is the statement: by its logical form, and where both say an id or a timestamp, by those too.
fn check_payload(statement: &Map<String, Value>, payload: &Map<String, Value>) -> Result<(), Fault> {
    let text = |doc: &Map<String, Value>, name: &str| doc.get(name).and_then(Value::as_str).map(str::to_owned);
    let id = |doc| text(doc, "id").and_then(|id: String| syntax::uuid::parse(&id));
    let instant = |doc| text(doc, "timestamp").and_then(|at: String| timestamp::parse(&at));
    let differ = |a: Option<Uuid>, b: Option<Uuid>| a.zip(b).is_some_and(|(a, b)| a != b);
    let pointer = if differ(id(statement), id(payload)) {
        Some("/id".to_owned())
    } else if instant(statement).zip(instant(payload)).is_some_and(|(a, b)| a != b) {
        Some("/timestamp".to_owned())
    } else {
        compare::signed(statement, payload).err()
    };
    match pointer {
        None => Ok(()),
        Some(pointer) => Err(Fault {
            rule: rule::SIGNATURE_PAYLOAD,
            pointer,
            message: "the statement differs here from the one that was signed".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use ring::{rand::SystemRandom, signature::RsaKeyPair};
    use serde_json::json;

    use super::*;

    /// A key made for these tests and used for nothing else.
    const KEY: &[u8] = include_bytes!("../../tests/keys/signer-rsa2048.pk8");
    const ID: &str = "ec531277-b57b-4c15-8d91-d292c5b2b8f7";

    fn statement() -> Value {
        json!({"id": ID, "actor": {"mbox": "mailto:a@x.example"}, "verb": {"id": "v:v"}, "object": {"id": "a:1"},
            "result": {"duration": "P1DT12H36M0.12S", "score": {"raw": 1.0}}})
    }

    fn jws(header: &Value, payload: &[u8]) -> String {
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(payload));
        let key = RsaKeyPair::from_pkcs8(KEY).unwrap();
        let padding: &dyn signature::RsaEncoding = match header["alg"].as_str() {
            Some("RS384") => &signature::RSA_PKCS1_SHA384,
            Some("RS512") => &signature::RSA_PKCS1_SHA512,
            _ => &signature::RSA_PKCS1_SHA256,
        };
        let mut value = vec![0; key.public().modulus_len()];
        key.sign(padding, &SystemRandom::new(), signed.as_bytes(), &mut value).unwrap();
        format!("{signed}.{}", encode(&value))
    }

    fn checked(statement: &Value, jws: &str) -> Result<(), (&'static str, String)> {
        let statement = Statement::trusted(statement.as_object().cloned().unwrap());
        check(3, &statement, jws.as_bytes(), &Limits::default()).map_err(|violations| {
            assert_eq!(violations.0[0].statement, Some(3));
            (violations.0[0].rule, violations.0[0].pointer.clone())
        })
    }

    fn signed(header: &Value, payload: &Value) -> Result<(), (&'static str, String)> {
        checked(&statement(), &jws(header, payload.to_string().as_bytes()))
    }

    /// The signer's certificate, issued by a root; and the root's.
    fn chain() -> [String; 2] {
        let encode = |certificate: &rcgen::Certificate| BASE64_STANDARD.encode(certificate.der());
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::try_from(KEY).unwrap();
        let leaf = CertificateParams::new(Vec::new()).unwrap().signed_by(&key, &root).unwrap();
        [encode(&leaf), encode(root.as_ref())]
    }

    #[test]
    fn each_algorithm_is_accepted_without_a_key_to_check_it() {
        for algorithm in ["RS256", "RS384", "RS512"] {
            assert_eq!(signed(&json!({"alg": algorithm}), &statement()), Ok(()));
        }
        for algorithm in [json!("HS256"), json!("none"), json!("ES256"), Value::Null] {
            let refused = signed(&json!({"alg": algorithm}), &statement());
            assert_eq!(refused.unwrap_err().0, "signature.algorithm");
        }
    }

    #[test]
    fn the_value_is_checked_with_the_certificate_that_is_there() {
        let [leaf, root] = chain();
        for algorithm in ["RS256", "RS384", "RS512"] {
            assert_eq!(signed(&json!({"alg": algorithm, "x5c": [leaf]}), &statement()), Ok(()));
        }
        let header = json!({"alg": "RS256", "x5c": [leaf, root]});
        assert_eq!(signed(&header, &statement()), Ok(()));
        let good = jws(&header, statement().to_string().as_bytes());
        let (signed_part, value) = good.rsplit_once('.').unwrap();
        let mut value = BASE64_URL_SAFE_NO_PAD.decode(value).unwrap();
        value[10] ^= 1;
        let broken = format!("{signed_part}.{}", BASE64_URL_SAFE_NO_PAD.encode(value));
        assert_eq!(checked(&statement(), &broken).unwrap_err().0, "signature.value");
        let [_, other_root] = chain();
        for (x5c, rule) in [
            (json!([leaf, other_root]), "signature.certificate"),
            (json!([root]), "signature.value"),
            (json!([]), "signature.certificate"),
            (json!("x"), "signature.certificate"),
            (json!(["AAAA"]), "signature.certificate"),
            (json!([1]), "signature.certificate"),
            (json!(vec![leaf.clone(); 11]), "signature.certificate"),
        ] {
            assert_eq!(signed(&json!({"alg": "RS256", "x5c": x5c}), &statement()).unwrap_err().0, rule, "{x5c}");
        }
    }

    #[test]
    fn what_is_no_jws_is_refused() {
        let good = jws(&json!({"alg": "RS256"}), statement().to_string().as_bytes());
        assert_eq!(checked(&statement(), &format!("\r\n{good}\r\n")), Ok(()));
        for bad in ["", "a.b", "a.b.c.d", "{}", "!.!.!", &good.replace('.', "="), "bm8.bm8.bm8", "MQ.MQ.MQ"] {
            assert_eq!(checked(&statement(), bad).unwrap_err().0, "signature.jws", "{bad}");
        }
        assert_eq!(signed(&json!({"alg": "RS256", "crit": ["x"]}), &statement()).unwrap_err().0, "signature.jws");
        let not_json = jws(&json!({"alg": "RS256"}), b"{\"broken\": ");
        assert_eq!(checked(&statement(), &not_json).unwrap_err().0, "signature.payload");
    }

    #[test]
    fn the_payload_is_compared_by_meaning() {
        let with = |pointer: &str, new: Value| {
            let mut doc = statement();
            doc[pointer] = new;
            signed(&json!({"alg": "RS256"}), &doc)
        };
        for (property, new) in [
            ("id", Value::Null),
            ("attachments", json!([{"sha2": "aa"}])),
            ("authority", json!({"mbox": "mailto:lrs@x.example"})),
            ("stored", json!("2020-01-01T00:00:00Z")),
            ("timestamp", json!("2020-01-01T00:00:00Z")),
            ("version", json!("1.0.0")),
            ("verb", json!({"id": "v:v", "display": {"en": "v"}})),
            ("result", json!({"score": {"raw": 1}, "duration": "P1DT12H36M0.1237S"})),
        ] {
            assert_eq!(with(property, new), Ok(()), "{property}");
        }
        for (property, new, pointer) in [
            ("actor", json!({"mbox": "mailto:b@x.example"}), "/actor/mbox"),
            ("result", json!({"score": {"raw": 2}, "duration": "P1DT12H36M0.12S"}), "/result/score/raw"),
            ("context", json!({"language": "en"}), "/context"),
            ("id", json!(Uuid::nil()), "/id"),
        ] {
            assert_eq!(with(property, new), Err(("signature.payload", pointer.to_owned())));
        }
        let mut now = statement();
        now["timestamp"] = json!("2020-01-01T00:00:00Z");
        let mut then = statement();
        then["timestamp"] = json!("2020-01-01T00:00:01Z");
        let then = jws(&json!({"alg": "RS256"}), then.to_string().as_bytes());
        assert_eq!(checked(&now, &then), Err(("signature.payload", "/timestamp".to_owned())));
    }
}
