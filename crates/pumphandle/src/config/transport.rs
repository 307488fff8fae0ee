//! What the configuration sends over a network without encryption, or may lose: warned of, because
//! a private network may allow it.

use std::net::IpAddr;

use notify::channel::mail::Encryption;
use record::diagnostic::Diagnostic;

use super::{Config, FeedKind, JournalKind, WarehouseKind};

/// A message and its hint.
type Warning = (String, &'static str);

pub(super) fn warnings(config: &Config) -> Vec<Diagnostic> {
    let file =
        config.file.as_ref().map_or("the command line or the environment".to_owned(), |file| {
            file.display().to_string()
        });
    let found = mail(config).into_iter().chain(feeds(config)).chain(clickhouse(config));
    found
        .chain(kafka(config))
        .map(|(message, hint)| Diagnostic::of_file(&file, message).hint(hint))
        .collect()
}

fn mail(config: &Config) -> Option<Warning> {
    let mail = config.notify.mail.as_ref()?;
    if mail.encryption != Encryption::None || is_local(&mail.host) {
        return None;
    }
    let what = if mail.user.is_some() { "the password and all mails" } else { "all mails" };
    Some((
        format!("{what} go to `{}` without encryption", mail.host),
        "set `encryption` in `[notify.mail]` to `starttls` or `tls`",
    ))
}

fn feeds(config: &Config) -> Vec<Warning> {
    let mut found = Vec::new();
    for feed in &config.feeds {
        let FeedKind::Jetstream { urls, profiles, .. } = &feed.kind else { continue };
        let profiles = profiles.iter().map(|profiles| &profiles.settings.url);
        for url in urls.iter().chain(profiles).filter(|url| is_plain(url)) {
            found.push((
                format!("feed `{}` reads `{url}` without encryption", feed.name),
                "use `wss://` or `https://`: posts could be changed on the way",
            ));
        }
    }
    found
}

fn clickhouse(config: &Config) -> Option<Warning> {
    let clickhouse = &config.warehouse.clickhouse;
    let is_used = config.warehouse.kind == WarehouseKind::ClickHouse;
    (is_used && clickhouse.password_file.is_some() && is_plain(&clickhouse.url)).then(|| {
        (
            format!("ClickHouse's password goes to `{}` without encryption", clickhouse.url),
            "use `https://`, or a network of its own",
        )
    })
}

fn kafka(config: &Config) -> Vec<Warning> {
    let mut found = Vec::new();
    if config.journal.kind != JournalKind::Kafka {
        return found;
    }
    let kafka = &config.journal.kafka;
    let protocol = kafka.properties.iter().find(|(name, _)| name == "security.protocol");
    let is_encrypted =
        protocol.is_some_and(|(_, protocol)| protocol.to_ascii_uppercase().ends_with("SSL"));
    let is_remote = kafka.brokers.split(',').any(|broker| !is_local(host_of(broker.trim())));
    if kafka.password_file.is_some() && is_remote && !is_encrypted {
        found.push((
            format!("Kafka's password goes to `{}` without encryption", kafka.brokers),
            "set `\"security.protocol\" = \"SASL_SSL\"` in `[journal.kafka]`",
        ));
    }
    if kafka.replication == 2 {
        // With two replicas, `min.insync.replicas` of 2 would stop all writing while one broker
        // is away.
        let message = "with `replication = 2` an acknowledged record is lost where its only \
            broker that is in sync fails";
        found.push((
            message.to_owned(),
            "three brokers and `replication = 3`, as Kafka's documentation recommends, lose \
                none when one fails",
        ));
    }
    found
}

fn is_plain(url: &str) -> bool {
    let rest = url.strip_prefix("ws://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| !is_local(host_of(rest.split(['/', '?']).next().unwrap_or_default())))
}

/// Without the port.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

fn is_local(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::{host_of, is_local, is_plain};

    #[test]
    fn only_hosts_of_this_machine_are_local() {
        for host in ["localhost", "127.0.0.1", "127.1.2.3", "[::1]", "db.localhost"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["mail.example.org", "10.0.0.1", "localhost.example.org", ""] {
            assert!(!is_local(host), "{host}");
        }
        assert_eq!(
            (host_of("kafka:9092"), host_of("[::1]:9092"), host_of("kafka")),
            ("kafka", "[::1]", "kafka")
        );
        assert!(is_plain("ws://feed.example.org/subscribe") && is_plain("http://clickhouse:8123"));
        assert!(
            !is_plain("wss://feed.example.org")
                && !is_plain("http://127.0.0.1:8123")
                && !is_plain("http://[::1]:8123")
        );
    }
}
