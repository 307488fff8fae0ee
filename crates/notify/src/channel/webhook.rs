//! Webhooks after Standard Webhooks 1.0 (standardwebhooks/standard-webhooks,
//! spec/standard-webhooks.md).
//!
//! `id.timestamp.payload` is signed by HMAC-SHA256 with each secret in force, newest first, so that
//! secrets change without a gap.
//! One id for one message however often it is sent; success is 2xx and nothing else.

use data_encoding::BASE64;
use record::Micros;
use record::time::SECOND;
use ring::hmac;

use super::SendError;
use crate::http::{self, Reach};

/// As the specification asks.
pub const PAYLOAD_BYTES_MAX: usize = 20 << 10;
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// `whsec_` and base64 of 24 to 64 bytes.
#[derive(Clone)]
pub struct Secret(hmac::Key);

impl Secret {
    pub fn parse(text: &str) -> Option<Secret> {
        let bytes = BASE64.decode(text.trim().strip_prefix("whsec_")?.as_bytes()).ok()?;
        SECRET_BYTES
            .contains(&bytes.len())
            .then(|| Secret(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    fn sign(&self, id: &str, timestamp: i64, payload: &str) -> String {
        let tag = hmac::sign(&self.0, format!("{id}.{timestamp}.{payload}").as_bytes());
        format!("v1,{}", BASE64.encode(tag.as_ref()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret")
    }
}

/// The value of `webhook-signature`.
pub fn signatures(secrets: &[Secret], id: &str, timestamp: i64, payload: &str) -> String {
    secrets.iter().map(|secret| secret.sign(id, timestamp, payload)).collect::<Vec<_>>().join(" ")
}

pub fn send(
    reach: &Reach,
    url: &str,
    secrets: &[Secret],
    id: &str,
    payload: &str,
    now: Micros,
) -> Result<(), SendError> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(SendError::never(format!(
            "a payload of {} bytes is longer than {PAYLOAD_BYTES_MAX}",
            payload.len()
        )));
    }
    let timestamp = now.div_euclid(SECOND);
    let signature = signatures(secrets, id, timestamp, payload);
    let headers = [
        ("webhook-id", id),
        ("webhook-timestamp", &*timestamp.to_string()),
        ("webhook-signature", signature.as_str()),
    ];
    let answer = http::post(reach, url, &headers, payload.as_bytes())?;
    match answer.status {
        200..=299 => Ok(()),
        410 => Err(SendError::never("the receiver is gone (410) and wants no more")),
        status => Err(SendError::Later {
            why: format!("the receiver answers {status}: {}", answer.said),
            after: answer.retry_after,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn signs_as_the_reference_does() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let payload = r#"{"test": 2432232314}"#;
        let signed = signatures(
            &[secret.clone(), secret],
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            payload,
        );
        let one = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signed, format!("{one} {one}"));
    }

    #[test]
    fn a_secret_is_long_enough_and_marked() {
        for wrong in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_no base64!", ""]
        {
            assert!(Secret::parse(wrong).is_none(), "{wrong}");
        }
        assert_eq!(
            format!("{:?}", Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap()),
            "Secret"
        );
    }
}
