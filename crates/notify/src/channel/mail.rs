//! E-mail: text and HTML, by a mail server that an operator names.

use std::time::Duration;

use lettre::message::header::{HeaderName, HeaderValue, MessageId};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Address, SmtpTransport, Transport};

use super::SendError;
use crate::message::Message;

const TIMEOUT: Duration = Duration::from_secs(20);

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

/// One mail to each recipient: nobody sees who else is told.
pub fn send(server: &MailServer, to: &[String], message: &Message) -> Result<(), SendError> {
    let transport = transport(server)?;
    let mut failed = None;
    for recipient in to {
        let mail = mail(server, recipient, message)?;
        // A refusal may be a mistake in somebody's settings, which is put right before long; and one that fails keeps none from the others.
        if let Err(error) = transport.send(&mail) {
            failed = Some(SendError::later(format!("`{}` didn't take the mail for `{recipient}`: {error}", server.host)));
        }
    }
    failed.map_or(Ok(()), Err)
}

fn transport(server: &MailServer) -> Result<SmtpTransport, SendError> {
    let mut parameters = TlsParameters::builder(server.host.clone());
    if let Some(pem) = &server.root_pem {
        parameters = parameters.add_root_certificate(Certificate::from_pem(pem).map_err(|error| SendError::never(error.to_string()))?);
    }
    let parameters = || parameters.build().map_err(|error| SendError::never(error.to_string()));
    let tls = match server.encryption {
        Encryption::StartTls => Tls::Required(parameters()?),
        Encryption::Tls => Tls::Wrapper(parameters()?),
        Encryption::None => Tls::None,
    };
    let transport = SmtpTransport::builder_dangerous(&server.host).port(server.port).tls(tls).timeout(Some(TIMEOUT));
    Ok(match &server.user {
        Some((user, password)) => transport.credentials(Credentials::new(user.clone(), password.clone())).build(),
        None => transport.build(),
    })
}

/// The mail itself. Its id is the message's and the recipient's: sent twice it is one mail to whoever sorts them by id.
pub fn mail(server: &MailServer, to: &str, message: &Message) -> Result<lettre::Message, SendError> {
    let never = |error: &dyn std::fmt::Display| SendError::never(format!("no mail can be made for `{to}`: {error}"));
    let address: Address = to.parse().map_err(|error| never(&error))?;
    let unsubscribe = server.unsubscribe.as_ref().unwrap_or(&server.from);
    let id = format!("<{}.{}@{}>", message.id, digest(to), server.from.domain());
    lettre::Message::builder()
        .from(Mailbox::new(Some("pumphandle".to_owned()), server.from.clone()))
        .to(Mailbox::new(None, address))
        .subject(&message.subject)
        .header(MessageId::from(id))
        .raw_header(header("List-Unsubscribe", format!("<mailto:{unsubscribe}?subject=unsubscribe%20{}>", message.subscription)))
        .raw_header(header("List-Id", format!("<{}.pumphandle.{}>", message.subscription, server.from.domain())))
        .raw_header(header("Auto-Submitted", "auto-generated".to_owned()))
        .raw_header(header("Content-Language", message.language.code().to_owned()))
        .multipart(MultiPart::alternative_plain_html(message.text.clone(), message.html.clone()))
        .map_err(|error| never(&error))
}

/// Short, and says nothing of the address.
fn digest(to: &str) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, to.as_bytes());
    data_encoding::HEXLOWER.encode(hash.as_ref().get(..6).unwrap_or_default())
}

fn header(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value)
}
