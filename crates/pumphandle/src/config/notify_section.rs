//! `[notify]` and the files of subscriptions that it names.

use std::net::IpAddr;
use std::path::Path;

use notify::channel::cap::Status;
use notify::channel::mail::Encryption;
use notify::{Channel, Reach, Subscription, subscription};
use record::time::{DAY, MINUTE};

use super::problem::{Place, Problem};
use super::reader::{Reader, Section};
use super::{Mail, Notify, base_of, read_secret_file, read_text, resolve};

const FILE_BYTES_MAX: u64 = 4 << 20;

pub(super) fn read(reader: &mut Reader, file: Option<&Path>) -> Option<Notify> {
    let mut found: Vec<Problem> = Vec::new();
    let notify = reader.section("notify", |section| {
        let subscriptions = section.texts("subscriptions");
        let page = section.optional_text("page");
        let own_networks = section.texts("own-networks");
        let roots_file =
            read_secret_file(section, "roots-file", file, "name a file of certificates, as PEM");
        let silence_after = section.duration("silence-after", MINUTE..=7 * DAY);
        let mail = section.section("mail", |section| read_mail(section, file));
        let cap = section.section("cap", |section| {
            let sender = section.text_of(
                "sender",
                "an address without spaces, commas, `<` and `&`",
                |text| !text.is_empty() && !text.contains([' ', ',', '<', '&']),
            );
            let status = section.word("status", &["test", "exercise", "actual"]);
            Some((sender?.value, [Status::Test, Status::Exercise, Status::Actual][status?.value]))
        });
        let mut networks: Vec<(IpAddr, u8)> = Vec::new();
        for written in own_networks? {
            match Reach::network(&written.value) {
                Some(network) => networks.push(network),
                None => {
                    let message = format!("`{}` in `own-networks` is no network", written.value);
                    found.push(
                        Problem::new(&written.place, message)
                            .hint("write 10.0.0.0/8, fd00::/8 or an address"),
                    );
                }
            }
        }
        let mail = mail?;
        let mut all: Vec<Subscription> = Vec::new();
        for pattern in subscriptions? {
            let pattern_path =
                resolve(base_of(&pattern.place, file), &pattern.value).display().to_string();
            let mut paths: Vec<_> = glob::glob(&pattern_path)
                .map(|paths| paths.filter_map(Result::ok).collect())
                .unwrap_or_default();
            if paths.is_empty() {
                let message = format!("no file `{pattern_path}` for `subscriptions`");
                found.push(
                    Problem::new(&pattern.place, message)
                        .hint("name a file of subscriptions, or none"),
                );
            }
            paths.sort();
            for path in paths {
                read_file(&path, mail.is_some(), &mut all, &mut found);
            }
        }
        let page = page?.map(|page| page.value.trim_end_matches('/').to_owned());
        Some(Notify {
            subscriptions: all,
            page,
            own_networks: networks,
            roots_file: roots_file?,
            silence_after: silence_after?.value,
            mail,
            cap_sender: cap.as_ref()?.0.clone(),
            cap_status: cap?.1,
        })
    });
    found.into_iter().for_each(|problem| reader.problem(problem));
    notify
}

fn read_file(path: &Path, has_mail: bool, all: &mut Vec<Subscription>, found: &mut Vec<Problem>) {
    let file = path.display().to_string();
    let text = match read_text(path, FILE_BYTES_MAX) {
        Ok(text) => text,
        Err(error) => return found.push(error.of_configuration(&file)),
    };
    let subscriptions = match subscription::read(&text, path.parent().unwrap_or(Path::new(""))) {
        Ok(subscriptions) => subscriptions,
        Err(mistakes) => {
            found.extend(mistakes.into_iter().map(|mistake| {
                let problem = Problem::new(
                    &Place::File { file: file.clone(), line: mistake.line },
                    mistake.message,
                );
                match mistake.hint {
                    Some(hint) => problem.hint(&*hint),
                    None => problem,
                }
            }));
            return;
        }
    };
    for subscription in subscriptions {
        let mut complain = |message: String, hint: &str| {
            found.push(
                Problem::new(
                    &Place::WholeFile { file: file.clone() },
                    format!("subscription `{}`: {message}", subscription.name),
                )
                .hint(hint),
            );
        };
        if all.iter().any(|other| other.name == subscription.name) {
            complain(
                "another file has one of this name".to_owned(),
                "its state is kept under its name",
            );
        }
        if matches!(subscription.channel, Channel::Mail { .. }) && !has_mail {
            complain(
                "it is for mail, and there is no mail server".to_owned(),
                "give `host` and `from` in `[notify.mail]`",
            );
        }
        all.push(subscription);
    }
}

fn read_mail(section: &mut Section<'_>, file: Option<&Path>) -> Option<Option<Mail>> {
    let is_address = |text: &str| {
        text.is_empty() || (text.contains('@') && !text.contains([' ', ',', '<', '>']))
    };
    let host = section.optional_text("host");
    let port = section.whole_number("port", 1..=u16::MAX);
    let encryption = section.word("encryption", &["starttls", "tls", "none"]);
    let user = section.optional_text("user");
    let password_file = read_secret_file(
        section,
        "password-file",
        file,
        "name the file that holds the password, and nothing else",
    );
    let from = section.text_of("from", "a mail address", is_address);
    let unsubscribe = section.text_of("unsubscribe", "a mail address", is_address);
    let (host, user, from, unsubscribe) = (host?, user?, from?, unsubscribe?);
    let Some(host) = host else { return Some(None) };
    if from.value.is_empty() {
        section.problem(
            &host.place,
            "a mail server without an address to send `from`",
            Some("from = \"alerts@example.org\""),
        );
        return None;
    }
    Some(Some(Mail {
        host: host.value,
        port: port?.value,
        encryption: [Encryption::StartTls, Encryption::Tls, Encryption::None][encryption?.value],
        user: user.map(|user| user.value),
        password_file: password_file?,
        from: from.value,
        unsubscribe: (!unsubscribe.value.is_empty()).then_some(unsubscribe.value),
    }))
}
