//! Channels, a file each: what leaves, in what form, and how it fails.

use std::time::Duration;

use thiserror::Error;

pub mod alertmanager;

pub mod cap;

pub mod mail;

pub mod webhook;

/// Of what another side said, messages quote so many characters.
const QUOTED_MAX: usize = 120;
/// Names the authorities that channels trust beside Mozilla's list.
pub(crate) const ROOTS_KEY: &str = "notify.roots-file";

/// Why something didn't go out. Two questions are answered: whether to try again, and whether it
/// concerns one recipient only.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SendError {
    #[error("{why}")]
    Later {
        why: String,
        /// Not before that, as the other side asks.
        after: Option<Duration>,
    },
    #[error("{why}")]
    Never { why: String },
    /// Final for this message and this recipient.
    #[error("refused: {code} {why}")]
    Refused { code: u16, why: String },
    /// Not now, for this recipient; others may go on.
    #[error("{why}")]
    Deferred { why: String },
}

impl SendError {
    pub(crate) fn later(why: impl Into<String>) -> SendError {
        SendError::Later { why: why.into(), after: None }
    }

    pub(crate) fn never(why: impl Into<String>) -> SendError {
        SendError::Never { why: why.into() }
    }
}

/// Without what breaks a line, and not too long.
pub(crate) fn shortened(text: &str) -> String {
    let words: Vec<&str> = text
        .split(|letter: char| letter.is_whitespace() || letter.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    let text = words.join(" ");
    match text.char_indices().nth(QUOTED_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// An error in which a check of a certificate has failed, in words: libraries print the name of a
/// variant. `key` is the configuration key that names further authorities.
pub fn explain_certificate_error(error: &str, key: &str) -> String {
    let hint = if error.contains("CaUsedAsEndEntity") {
        format!(
            "the server shows the certificate of an authority as its own; give it one that the \
            authority has signed, and name the authority's in `{key}`"
        )
    } else if error.contains("UnknownIssuer") {
        format!(
            "the server's certificate is signed by an authority that is not trusted here; name \
            its certificate in `{key}`"
        )
    } else if error.contains("NotValidForName") {
        "the server's certificate is not for this name".to_owned()
    } else if error.contains("Expired") {
        "the server's certificate has expired".to_owned()
    } else {
        return error.to_owned();
    };
    let before = error.find("invalid peer certificate").and_then(|at| error.get(..at));
    format!("{}{hint}", before.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_certificate_is_explained_in_words() {
        let explain = |error: &str| explain_certificate_error(error, "notify.roots-file");
        let explained = explain(
            "failed to connect to `host`: invalid peer certificate: \
                Other(OtherError(CaUsedAsEndEntity))",
        );
        assert!(
            explained
                .starts_with("failed to connect to `host`: the server shows the certificate of")
                && explained.ends_with("in `notify.roots-file`")
                && !explained.contains("Other("),
            "{explained}"
        );
        assert!(explain("invalid peer certificate: UnknownIssuer").contains("not trusted here"));
        assert_eq!(explain("connection reset"), "connection reset");
    }

    #[test]
    fn what_others_say_is_quoted_in_one_short_line() {
        assert_eq!(shortened("a\r\nBcc:  b\u{7}"), "a Bcc: b");
        assert_eq!(shortened(&"ä".repeat(500)).chars().count(), QUOTED_MAX + 1);
    }
}
