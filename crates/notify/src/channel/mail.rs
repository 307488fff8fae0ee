//! E-mail: text and HTML, by a mail server that an operator names.
//!
//! One SMTP transaction per recipient, so that each has an outcome of its own. A reply 5xx to `RCPT
//! TO` is final for this mail and this address; every other failure is the server's, or passes, and
//! the mail is tried again.

use std::error::Error as _;
use std::time::{Duration, SystemTime};

use lettre::message::header::{HeaderName, HeaderValue, MessageId};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{Certificate, SmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::{Address, transport::smtp};
use record::Micros;

use super::{SendError, shortened};
use crate::message::Message;

const TIMEOUT: Duration = Duration::from_secs(20);
/// The server closes the connection: no answer to what was sent.
const CLOSING: u16 = 421;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Plain first, then encrypted or not at all.
    StartTls,
    /// Encrypted from the first byte.
    Tls,
    /// For a server on this machine.
    None,
}

#[derive(Debug, Clone)]
pub struct MailServer {
    pub host: String,
    pub port: u16,
    pub encryption: Encryption,
    pub user: Option<(String, String)>,
    /// `alerts@example.org`
    pub from: Address,
    /// PEM of a certificate to trust beside Mozilla's list.
    pub root_pem: Option<Vec<u8>>,
    /// Where mails that unsubscribe go; the sender if none is given.
    pub unsubscribe: Option<Address>,
}

impl MailServer {
    /// The address that mails which unsubscribe go to.
    pub fn unsubscribes(&self) -> &Address {
        self.unsubscribe.as_ref().unwrap_or(&self.from)
    }
}

/// Sends one mail to one recipient. `at`: its date.
pub fn send(server: &MailServer, to: &str, message: &Message, at: Micros) -> Result<(), SendError> {
    let mail = mail(server, to, message, at)?;
    let mut connection = connect(server)?;
    let sent = transact(&mut connection, server, &mail);
    // What the server has accepted stays accepted, whatever becomes of the connection.
    let _ = connection.quit();
    sent
}

fn connect(server: &MailServer) -> Result<SmtpConnection, SendError> {
    let of_server =
        |error: smtp::Error| SendError::later(format!("`{}`: {}", server.host, explained(&error)));
    let tls = match server.encryption {
        Encryption::None => None,
        Encryption::StartTls | Encryption::Tls => Some(tls(server)?),
    };
    let hello = ClientId::default();
    let at_once = tls.as_ref().filter(|_| server.encryption == Encryption::Tls);
    let mut connection = SmtpConnection::connect(
        (server.host.as_str(), server.port),
        Some(TIMEOUT),
        &hello,
        at_once,
        None,
    )
    .map_err(of_server)?;
    if let Some(tls) = tls.as_ref().filter(|_| server.encryption == Encryption::StartTls) {
        connection.starttls(tls, &hello).map_err(of_server)?;
    }
    if let Some((user, password)) = &server.user {
        connection
            .auth(DEFAULT_MECHANISMS, &Credentials::new(user.clone(), password.clone()))
            .map_err(of_server)?;
    }
    Ok(connection)
}

fn tls(server: &MailServer) -> Result<TlsParameters, SendError> {
    let mut parameters = TlsParameters::builder(server.host.clone());
    if let Some(pem) = &server.root_pem {
        parameters = parameters.add_root_certificate(
            Certificate::from_pem(pem).map_err(|error| SendError::never(error.to_string()))?,
        );
    }
    parameters.build().map_err(|error| SendError::never(error.to_string()))
}

fn transact(
    connection: &mut SmtpConnection,
    server: &MailServer,
    mail: &lettre::Message,
) -> Result<(), SendError> {
    let Some(recipient) = mail.envelope().to().first() else {
        return Err(SendError::never("the mail has no recipient"));
    };
    let mut options = Vec::new();
    let is_ascii = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
    if !is_ascii(recipient) || !is_ascii(&server.from) {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err(SendError::Refused {
                code: 553,
                why: "the mail server takes no address with letters beyond ASCII".to_owned(),
            });
        }
        options.push(MailParameter::SmtpUtfEight);
    }
    let of_server = |error: smtp::Error| {
        SendError::later(format!("`{}`: MAIL FROM: {}", server.host, explained(&error)))
    };
    connection.command(Mail::new(mail.envelope().from().cloned(), options)).map_err(of_server)?;
    connection
        .command(Rcpt::new(recipient.clone(), Vec::new()))
        .map_err(|error| of_recipient(server, &error))?;
    let passing = |error: smtp::Error| SendError::Deferred {
        why: format!("`{}`: DATA: {}", server.host, explained(&error)),
    };
    connection.command(Data).map_err(passing)?;
    connection.message(&mail.formatted()).map_err(passing)?;
    Ok(())
}

fn of_recipient(server: &MailServer, error: &smtp::Error) -> SendError {
    match error.status().map(u16::from) {
        Some(code @ 500..=599) => SendError::Refused { code, why: shortened(&said(error)) },
        Some(CLOSING) => SendError::later(format!("`{}`: {}", server.host, explained(error))),
        _ => {
            SendError::Deferred { why: format!("`{}`: RCPT TO: {}", server.host, explained(error)) }
        }
    }
}

/// What the server said, without the library's words around it.
fn said(error: &smtp::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// `530 authentication required`, or what failed.
fn explained(error: &smtp::Error) -> String {
    match error.status() {
        Some(code) => format!("{code} {}", shortened(&said(error))),
        None => shortened(&super::explain_certificate_error(&error.to_string(), super::ROOTS_KEY)),
    }
}

/// The mail itself. Its id is the message's and the recipient's: sent twice it is one mail to
/// whoever sorts them by id.
pub fn mail(
    server: &MailServer,
    to: &str,
    message: &Message,
    at: Micros,
) -> Result<lettre::Message, SendError> {
    // 553: mailbox name not allowed.
    let refused = |error: &dyn std::fmt::Display| SendError::Refused {
        code: 553,
        why: format!("no mail can be made for it: {error}"),
    };
    let address: Address = to.parse().map_err(|error| refused(&error))?;
    let unsubscribe = server.unsubscribes();
    let id = format!("<{}.{}@{}>", message.id, digest(to), server.from.domain());
    lettre::Message::builder()
        .from(Mailbox::new(Some("pumphandle".to_owned()), server.from.clone()))
        .to(Mailbox::new(None, address))
        .date(SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(at).unwrap_or(0)))
        .subject(&message.subject)
        .header(MessageId::from(id))
        .raw_header(header(
            "List-Unsubscribe",
            format!("<mailto:{unsubscribe}?subject=unsubscribe%20{}>", message.subscription),
        ))
        .raw_header(header(
            "List-Id",
            format!("<{}.pumphandle.{}>", message.subscription, server.from.domain()),
        ))
        .raw_header(header("Auto-Submitted", "auto-generated".to_owned()))
        .raw_header(header("Content-Language", message.language.code().to_owned()))
        .multipart(MultiPart::alternative_plain_html(message.text.clone(), message.html.clone()))
        .map_err(|error| refused(&error))
}

/// Short, and says nothing of the address.
fn digest(to: &str) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, to.as_bytes());
    data_encoding::HEXLOWER.encode(hash.as_ref().get(..6).unwrap_or_default())
}

fn header(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value)
}

#[cfg(test)]
mod tests;
