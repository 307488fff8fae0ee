//! Channels ready to send: the mail server, secrets of webhooks, certificates.
//!
//! Every file they need is read and checked here, before anything is sent.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, anyhow};
use notify::channel::mail::MailServer;
use notify::channel::webhook::Secret;
use notify::channel::{alertmanager, mail, webhook};
use notify::message::{Frame, Notice};
use notify::{Channel, Message, Reach, SendError, Subscription, message};
use record::Micros;
use record::diagnostic::Diagnostic;
use web::{TestOutcome, Tested};

use crate::config::{Config, Mail, Notify};
use crate::roles::stores;

#[derive(Clone)]
pub(crate) struct Channels {
    mail: Option<MailServer>,
    /// By subscription.
    secrets: BTreeMap<String, Vec<Secret>>,
    reach: Reach,
    page: Option<String>,
    /// Where a mail goes that ends a subscription.
    unsubscribes: Option<String>,
    simulated: bool,
}

impl Channels {
    /// Reads passwords, secrets and certificates; the first mistake names the file and the
    /// subscription.
    pub(crate) fn of(config: &Config, simulated: bool) -> anyhow::Result<Channels> {
        let (channels, mut mistakes) = Channels::read(&config.notify, simulated);
        match mistakes.is_empty() {
            true => Ok(channels),
            false => Err(anyhow!(mistakes.swap_remove(0).1)),
        }
    }

    /// Every file of a secret or certificate that can't be used.
    pub(crate) fn problems(config: &Config) -> Vec<Diagnostic> {
        let (_, mistakes) = Channels::read(&config.notify, false);
        let problem = |(file, message): (String, String)| {
            Diagnostic::of_file(&file, message)
                .hint("`run` reads it before anything is served, and ends without it")
        };
        mistakes.into_iter().map(problem).collect()
    }

    /// What can be read, and a file and message for each mistake.
    fn read(notify: &Notify, simulated: bool) -> (Channels, Vec<(String, String)>) {
        let mut mistakes = Vec::new();
        let mut wrong = |file: &Path, error: anyhow::Error| {
            mistakes.push((file.display().to_string(), format!("{error:#}")))
        };
        let (mut pem, mut roots) = (None, Vec::new());
        if let Some(file) = &notify.roots_file {
            match stores::read_certificates(file) {
                Ok((bytes, certificates)) => (pem, roots) = (Some(bytes), certificates),
                Err(error) => wrong(file, error),
            }
        }
        let server = notify.mail.as_ref().and_then(|mail| read_server(mail, pem, &mut wrong));
        let mut secrets = BTreeMap::new();
        for subscription in &notify.subscriptions {
            let Channel::Webhook { secret_files, .. } = &subscription.channel else { continue };
            let mut read = Vec::new();
            for file in secret_files {
                match read_secret(file) {
                    Ok(secret) => read.push(secret),
                    Err(error) => {
                        wrong(file, error.context(format!("subscription `{}`", subscription.name)))
                    }
                }
            }
            secrets.insert(subscription.name.clone(), read);
        }
        let channels = Channels {
            unsubscribes: server
                .as_ref()
                .map(|server: &MailServer| server.unsubscribes().to_string()),
            mail: server,
            secrets,
            reach: Reach { own_networks: notify.own_networks.clone(), roots },
            page: notify.page.clone(),
            simulated,
        };
        (channels, mistakes)
    }

    pub(super) fn page(&self) -> Option<&str> {
        self.page.as_deref()
    }

    pub(super) fn reach(&self) -> &Reach {
        &self.reach
    }

    pub(super) fn frame<'a>(&'a self, subscription: &'a Subscription) -> Frame<'a> {
        let is_mail = matches!(subscription.channel, Channel::Mail { .. });
        Frame {
            subscription: &subscription.name,
            page: self.page.as_deref(),
            unsubscribes: self.unsubscribes.as_deref().filter(|_| is_mail),
            simulated: self.simulated,
        }
    }

    /// Sends a message to one recipient; channels with one recipient ignore `to`.
    pub(super) fn send(
        &self,
        subscription: &Subscription,
        to: &str,
        message: &Message,
        now: Micros,
    ) -> Result<(), SendError> {
        match &subscription.channel {
            Channel::Mail { .. } => match &self.mail {
                Some(server) => mail::send(server, to, message, now),
                None => Err(SendError::Never { why: "there is no mail server".to_owned() }),
            },
            Channel::Webhook { url, .. } => {
                let secrets =
                    self.secrets.get(&subscription.name).map(Vec::as_slice).unwrap_or_default();
                webhook::send(
                    &self.reach,
                    url,
                    secrets,
                    &message.id,
                    &message.json.to_string(),
                    now,
                )
            }
            Channel::Stdout | Channel::Feed | Channel::Alertmanager { .. } => {
                let mut out = std::io::stdout().lock();
                writeln!(out, "{}", message.json)
                    .and_then(|()| out.flush())
                    .map_err(|error| SendError::Later { why: error.to_string(), after: None })
            }
        }
    }

    /// Sends a test to every recipient of the subscription, including those off duty and deputies.
    pub(crate) fn test(&self, subscription: &Subscription, now: Micros) -> Vec<Tested> {
        let id = format!("{}-test-{}", subscription.name, now.div_euclid(1_000_000));
        let frame = self.frame(subscription);
        let message = message::notice(
            &Notice::Test,
            &id,
            subscription.language,
            &subscription.zone,
            now,
            &frame,
        );
        let tested = |recipient: &str, result: Result<(), SendError>| Tested {
            recipient: recipient.to_owned(),
            outcome: outcome(result),
        };
        match &subscription.channel {
            Channel::Mail { to } => {
                let deputies =
                    subscription.escalation.iter().flat_map(|escalation| &escalation.deputies);
                let mut all: Vec<&String> = to.addresses.iter().chain(deputies).collect();
                let mut seen = std::collections::BTreeSet::new();
                all.retain(|address| seen.insert(*address));
                all.into_iter()
                    .map(|address| tested(address, self.send(subscription, address, &message, now)))
                    .collect()
            }
            Channel::Webhook { url, .. } => {
                vec![tested(&host(url), self.send(subscription, "", &message, now))]
            }
            Channel::Alertmanager { url } => {
                let result = alertmanager::send(
                    &self.reach,
                    url,
                    &alertmanager::test_body(&subscription.name, now),
                );
                vec![tested(&host(url), result)]
            }
            // A file that the page serves: it has an address, and nobody can refuse it.
            Channel::Feed => {
                vec![tested(
                    &format!(
                        "{}/feeds/{}.atom",
                        self.page.as_deref().unwrap_or_default(),
                        subscription.name
                    ),
                    Ok(()),
                )]
            }
            Channel::Stdout => vec![tested("stdout", self.send(subscription, "", &message, now))],
        }
    }
}

/// The mail server with its password and addresses.
fn read_server(
    mail: &Mail,
    root_pem: Option<Vec<u8>>,
    wrong: &mut dyn FnMut(&Path, anyhow::Error),
) -> Option<MailServer> {
    let password = mail.password_file.as_deref().and_then(|file| {
        let read = stores::secret(file);
        read.map_err(|error| wrong(file, error.context("the password of `[notify.mail]`"))).ok()
    });
    let mut address = |text: &str| {
        let parsed = text.parse::<notify::Address>();
        let parsed = parsed.with_context(|| format!("`{text}` is no mail address"));
        parsed.map_err(|error| wrong(Path::new("[notify.mail]"), error)).ok()
    };
    let from = address(&mail.from);
    let unsubscribe = match &mail.unsubscribe {
        Some(text) => Some(address(text)?),
        None => None,
    };
    Some(MailServer {
        host: mail.host.clone(),
        port: mail.port,
        encryption: mail.encryption,
        user: mail.user.clone().map(|user| (user, password.unwrap_or_default())),
        from: from?,
        root_pem,
        unsubscribe,
    })
}

/// The host of an address, whose rest may be a secret.
fn host(url: &str) -> String {
    let without_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    without_scheme.split(['/', '?', '#']).next().unwrap_or_default().to_owned()
}

fn outcome(result: Result<(), SendError>) -> TestOutcome {
    match result {
        Ok(()) => TestOutcome::Accepted,
        Err(SendError::Refused { code, why }) => TestOutcome::Refused { code, why },
        Err(error) => TestOutcome::Failed { why: error.to_string() },
    }
}

fn read_secret(file: &Path) -> anyhow::Result<Secret> {
    let text = stores::secret(file)?;
    Secret::parse(&text).with_context(|| {
        format!("`{}` holds no `whsec_` and base64 of 24 to 64 bytes", file.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn with_subscription(lines: &str, folder: &Path) -> Config {
        let mut config = config::built_in(&[]).unwrap();
        config.notify.subscriptions = notify::subscription::parse_subscriptions(
            "a.toml",
            &format!("[[subscription]]\nname = \"hook\"\n{lines}"),
            folder,
        )
        .unwrap();
        config
    }

    #[test]
    fn a_missing_or_damaged_secret_names_file_and_subscription() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("damaged"), "whsec_zz\n").unwrap();
        let lines = "channel = \"webhook\"\nurl = \"https://example.org\"\nsecret-files = \
            [\"missing\", \"damaged\"]";
        let config = with_subscription(lines, folder.path());
        let problems: Vec<String> =
            Channels::problems(&config).iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 2, "{problems:?}");
        for (problem, file) in problems.iter().zip(["missing", "damaged"]) {
            assert!(problem.contains("subscription `hook`") && problem.contains(file), "{problem}");
        }
        let error = format!("{:#}", Channels::of(&config, false).err().unwrap());
        assert!(error.contains("subscription `hook`") && error.contains("missing"), "{error}");
    }

    #[test]
    fn of_an_address_only_the_host_is_shown() {
        assert_eq!(
            host("https://hooks.example.org:8443/T0/secret?token=1"),
            "hooks.example.org:8443"
        );
    }
}
