//! Out: alerts to people's channels.
//!
//! Last room before people. It is told of alerts and what people did with them, decides by a
//! subscription who hears of what and when
//! ([`plan`]), says it in their language ([`words`]), and hands it to their channel ([`channel`]).
//! What is owed and what was tried
//! is an [`outbox`] as plain data, so that whoever keeps it loses nothing by a restart.
//! Knows no store and no stream; time comes in as a parameter, except where a socket waits.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod zone;

pub mod subscription;
pub use subscription::{Audience, Channel, Subscription, When};

pub mod plan;

pub mod words;

pub mod message;
pub use message::Message;

pub mod outbox;

pub mod rounds;

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
