//! Channels, a file each: what leaves, in what form, and how it fails.

use std::time::Duration;

use thiserror::Error;

pub mod alertmanager;

pub mod cap;

pub mod mail;

pub mod webhook;

/// Of what another side said, messages quote so many characters.
const QUOTED_MAX: usize = 120;

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

/// What a failed check of a certificate means, in words: libraries print the name of a variant.
pub fn certificate_hint(error: &str) -> String {
    let hint = if error.contains("CaUsedAsEndEntity") {
        "the server shows the certificate of an authority as its own; give it one that the \
            authority has signed, and name the authority's"
    } else if error.contains("UnknownIssuer") {
        "the server's certificate is signed by an authority that is not trusted here; name its \
            certificate"
    } else if error.contains("NotValidForName") {
        "the server's certificate is not for this name"
    } else if error.contains("Expired") {
        "the server's certificate has expired"
    } else {
        return error.to_owned();
    };
    let file = if error.contains("CaUsedAsEndEntity") || error.contains("UnknownIssuer") {
        " in `notify.roots-file`"
    } else {
        ""
    };
    format!("{hint}{file}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_certificate_is_explained_in_words() {
        let said =
            certificate_hint("invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))");
        assert!(
            said.contains("certificate of an authority")
                && said.ends_with("in `notify.roots-file`")
                && !said.contains("Other("),
            "{said}"
        );
        assert!(
            certificate_hint("invalid peer certificate: UnknownIssuer")
                .contains("not trusted here")
        );
        assert_eq!(certificate_hint("connection reset"), "connection reset");
    }

    #[test]
    fn what_others_say_is_quoted_in_one_short_line() {
        assert_eq!(shortened("a\r\nBcc:  b\u{7}"), "a Bcc: b");
        assert_eq!(shortened(&"ä".repeat(500)).chars().count(), QUOTED_MAX + 1);
    }
}
