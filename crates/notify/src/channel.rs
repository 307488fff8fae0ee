//! Channels, a file each: what leaves, in what form, and how it fails.

use std::time::Duration;

use thiserror::Error;

pub mod alertmanager;

pub mod cap;

pub mod mail;

pub mod webhook;

/// Why something didn't go out. One question is answered: whether to try again.
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
}

impl SendError {
    pub(crate) fn later(why: impl Into<String>) -> SendError {
        SendError::Later { why: why.into(), after: None }
    }

    pub(crate) fn never(why: impl Into<String>) -> SendError {
        SendError::Never { why: why.into() }
    }
}
