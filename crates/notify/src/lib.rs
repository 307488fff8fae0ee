//! Notifications: alerts to subscribers, by mail, webhook, Alertmanager or feed.
//!
//! The last crate on an alert's way. [`dispatch`] decides which message is due to whom, by
//! [`subscription`] and [`plan`]; [`words`] and [`message`] write it in the subscriber's language;
//! [`channel`] sends it. It knows no store and no stream; time is a parameter, except where a socket
//! waits.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod zone;

pub mod subscription;
pub use subscription::{Audience, Channel, Subscription, When};

pub mod plan;

pub mod words;

pub mod message;
pub use message::Message;

pub mod dispatch;
pub use dispatch::Dispatch;

#[cfg(test)]
mod sample;

#[cfg(test)]
mod public_tests;

#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "channels use sockets")]
pub mod http;
pub use http::{Certificate, Reach};

pub use lettre::Address;

#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "channels use sockets")]
pub mod channel;
pub use channel::SendError;
