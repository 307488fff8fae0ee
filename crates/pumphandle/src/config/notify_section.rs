//! `[notify]` and the files of subscriptions that it names.
//!
//! Knows which channels need a mail server; knows nothing of delivery.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use notify::channel::cap::Status;
use notify::channel::mail::Encryption;
use notify::{Channel, Reach, Subscription, subscription};
use record::diagnostic::{Diagnostic, Place};
use record::time::{DAY, MINUTE, Micros};

use super::reader::{Misfit, Noted, Read, Section, key_of, read_keys, section};
use super::sections::PASSWORD_HINT;

const FILE_BYTES_MAX: u64 = 4 << 20;

section! {
    #[derive(Debug, Clone)]
    struct Notify {
        /// The page's address without a slash at its end.
        page: Option<String> = page(),
        own_networks: Vec<(IpAddr, u8)> = texts_of(parse_network),
        roots_file: Option<PathBuf> = existing_file("name a file of certificates, as PEM"),
        silence_after: Micros = duration(MINUTE..=7 * DAY),
        mail: Option<Mail> = section(read_mail),
        cap: Cap = section(Cap::read),
        subscriptions: Vec<Subscription> = subscriptions(mail.as_ref().ok()),
    }
}

section! {
    /// The mail server.
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Mail {
        host: String = text(),
        port: u16 = whole_number(1..=u16::MAX),
        encryption: Encryption = word(&[
            ("starttls", Encryption::StartTls),
            ("tls", Encryption::Tls),
            ("none", Encryption::None),
        ]),
        user: Option<String> = optional_text(),
        password_file: Option<PathBuf> = existing_file(PASSWORD_HINT),
        from: String = text_of("a mail address", is_address_or_empty),
        unsubscribe: Option<String> = address(),
    }
}

section! {
    #[derive(Debug, Clone)]
    struct Cap {
        sender: String = text_of("an address without spaces, commas, `<` and `&`", is_sender),
        status: Status = word(&[
            ("test", Status::Test),
            ("exercise", Status::Exercise),
            ("actual", Status::Actual),
        ]),
    }
}

/// None without a host.
fn read_mail(section: &mut Section<'_>) -> Read<Option<Mail>> {
    let mail = Mail::read(section)?;
    if mail.host.is_empty() {
        return Ok(None);
    }
    if mail.from.is_empty() {
        let message = "a mail server without an address to send `from`";
        let place = section.place_read("host");
        return Err(section.error(&place, message, "from = \"alerts@example.org\""));
    }
    Ok(Some(mail))
}

fn is_address_or_empty(text: &str) -> bool {
    text.is_empty() || (text.contains('@') && !text.contains([' ', ',', '<', '>']))
}

fn is_sender(text: &str) -> bool {
    !text.is_empty() && !text.contains([' ', ',', '<', '&'])
}

fn parse_network(text: &str, _: &Place) -> Result<(IpAddr, u8), Misfit> {
    Reach::network(text).ok_or_else(|| {
        let message = format!("`{text}` in `own-networks` is no network");
        Misfit::new(message, "write 10.0.0.0/8, fd00::/8 or an address")
    })
}

impl Section<'_> {
    fn page(&mut self, key: &str) -> Read<Option<String>> {
        self.optional(key, |page, _| Ok(page.trim_end_matches('/').to_owned()))
    }

    fn address(&mut self, key: &str) -> Read<Option<String>> {
        let address = self.text_of(key, "a mail address", is_address_or_empty)?;
        Ok(Some(address).filter(|address| !address.is_empty()))
    }

    /// The subscriptions of all files. `mail` is the mail server, as far as it could be read.
    fn subscriptions(&mut self, key: &str, mail: Option<&Option<Mail>>) -> Read<Vec<Subscription>> {
        let (_, files) = self.files(key, "toml", FILE_BYTES_MAX)?;
        let mail = mail.ok_or(Noted)?;
        let mut all: Vec<Subscription> = Vec::new();
        for file in files {
            let folder = Path::new(&file.name).parent().unwrap_or(Path::new(""));
            let subscriptions =
                match subscription::parse_subscriptions(&file.name, &file.text, folder) {
                    Ok(subscriptions) => subscriptions,
                    Err(errors) => {
                        self.reader.note_all(errors);
                        continue;
                    }
                };
            for subscription in subscriptions {
                let mut refuse = |message: &str, hint: &str| {
                    let message = format!("subscription `{}`: {message}", subscription.name);
                    self.reader.note(Diagnostic::of_file(&file.name, message).hint(hint));
                };
                if all.iter().any(|other| other.name == subscription.name) {
                    let message = "another file has one of this name";
                    refuse(message, "its state is kept under its name");
                }
                if matches!(subscription.channel, Channel::Mail { .. }) && mail.is_none() {
                    let message = "it is for mail, and there is no mail server";
                    refuse(message, "give `host` and `from` in `[notify.mail]`");
                }
                all.push(subscription);
            }
        }
        Ok(all)
    }
}
