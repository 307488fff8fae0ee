//! Sections of the configuration that consist of plain values: each key with its type and check.
//!
//! Key, default and explanation are in `config/pumphandle.toml`.
//! Knows nothing that needs two sections or another file's content.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use record::diagnostic::Place;
use record::document::{Node, Table, Value};
use record::time::{DAY, HOUR, MINUTE, Micros, SECOND, parse_span};
use record::{DetectSettings, Floors};
use surveillance::detectors::{Method, ParamError};

use super::feed_section::{SECRET_IN_URL, has_user};
use super::reader::{Misfit, Noted, Read, Section, duration_in, key_of, read_keys, section};
use super::units::display_duration;

const PANE_LENGTHS: [Micros; 5] = [5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR];
pub(super) const WINDOW_MAX: Micros = 7 * DAY;
const HORIZON_MAX: Micros = 7 * DAY;
const RETENTION_MAX: Micros = 8 * DAY;
const HARD_AGE_MAX: Micros = 14 * DAY;
const KEY_EPOCH_MAX: Micros = 90 * DAY;
const WAREHOUSE_AGE_MAX: Micros = 36_500 * DAY;
const PARAMS_MAX: usize = 64;

section! {
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Journal {
        kind: JournalKind = kind(&[
            ("local", Some(JournalKind::Local)),
            ("kafka", cfg!(feature = "kafka").then_some(JournalKind::Kafka)),
        ]),
        /// The folder of everything local, relative to the working directory.
        data: PathBuf = folder("the path of a folder"),
        /// Keys of [`JournalKind::Kafka`].
        kafka @ "": Kafka = keys(Kafka::read),
        partitions: u32 = whole_number(1..=256),
        /// Whether reading continues where retention has deleted records before they were read.
        accept_gaps: bool = boolean(),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JournalKind {
    /// Files under the data folder.
    Local,
    Kafka,
}

section! {
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Kafka {
        brokers: String = text_of("`HOST:PORT`, several by commas", are_brokers),
        prefix: String =
            text_of("letters, digits, `.`, `_` and `-`, at most 100", is_stream_prefix),
        /// How many brokers hold each record.
        replication: u16 = whole_number(1..=9),
        session_timeout: Micros = duration(SECOND..=30 * MINUTE),
        /// Holds `sasl.password`.
        password_file: Option<PathBuf> = existing_file(PASSWORD_HINT),
        /// librdkafka's, by its own names.
        properties @ "kafka": Vec<(String, String)> = section(read_properties),
    }
}

pub(super) const PASSWORD_HINT: &str = "name the file that holds the password, and nothing else";

section! {
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Warehouse {
        kind: WarehouseKind = kind(&[
            ("local", Some(WarehouseKind::Local)),
            ("clickhouse", cfg!(feature = "clickhouse").then_some(WarehouseKind::ClickHouse)),
        ]),
        /// Keys of [`WarehouseKind::ClickHouse`].
        clickhouse @ "": ClickHouse = keys(ClickHouse::read),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WarehouseKind {
    /// SQLite under the data folder.
    Local,
    ClickHouse,
}

section! {
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct ClickHouse {
        url: String = warehouse_url(),
        database: String = text_of("a name of letters, digits and `_`", is_database),
        user: String = text(),
        password_file: Option<PathBuf> = existing_file(PASSWORD_HINT),
    }
}

section! {
    /// Panes and windows of symptom and disease topics; lateness and horizon of all topics.
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Panes {
        length: Micros = pane_length(),
        /// Shortest first.
        windows: Vec<Micros> = windows(length),
        lateness: Micros = duration(0..=HOUR),
        horizon: Micros = horizon(lateness),
    }
}

section! {
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Web {
        listen: SocketAddr = parsed("an address and a port, such as `127.0.0.1:8080`"),
        /// Names of the page.
        hosts: Vec<String> = texts(),
        /// Role of unauthenticated visitors.
        anonymous: web::Role = word(&web::Role::ALL.map(|role| (role.name(), role))),
        /// Proxies whose headers on a client's address are trusted.
        trusted_proxies: Vec<IpAddr> = texts_of(parse_proxy),
        /// Holds the secret with which a proxy's headers on users and roles are trusted.
        proxy_secret_file: Option<PathBuf> = proxy_secret_file(),
        requests_per_minute: u32 = whole_number(10..=1_000_000),
        connections_per_address: usize = whole_number(4..=512),
    }
}

section! {
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Alerts {
        /// Whether alerts are also printed as lines of JSON.
        stdout: bool = boolean(),
    }
}

section! {
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Privacy {
        author_key_epoch: Micros = duration(DAY..=KEY_EPOCH_MAX),
        /// The folder of generated keys; none: next to the data folder.
        keys: Option<PathBuf> = optional_path(),
        /// None: generated in the folder of keys.
        author_key_file: Option<PathBuf> = existing_file(KEY_HINT),
        /// None: generated in the folder of keys.
        routing_key_file: Option<PathBuf> = existing_file(KEY_HINT),
    }
}

const KEY_HINT: &str = "leave it out and one is made beside the data folder";

section! {
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Retention {
        posts: Micros = duration(HOUR..=RETENTION_MAX),
        tallies: Micros = duration(HOUR..=RETENTION_MAX),
        counts: Micros = duration(DAY..=3_650 * DAY),
        rejects: Micros = duration(HOUR..=365 * DAY),
        /// From this age on records are deleted although a stage has not read them.
        hard_age: Micros = duration(DAY..=HARD_AGE_MAX),
        /// In the warehouse; none: unlimited.
        cells: Option<Micros> = optional_duration(30 * DAY..=WAREHOUSE_AGE_MAX),
        verdicts: Option<Micros> = optional_duration(30 * DAY..=WAREHOUSE_AGE_MAX),
    }
}

section! {
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Limits {
        line_bytes: usize = size(1 << 10..=64 << 20),
        depth: usize = whole_number(8..=128),
        tags_per_post: usize = whole_number(1..=256),
        tag_bytes: usize = whole_number(16..=4_096),
        langs_per_post: usize = whole_number(1..=16),
        batch_bytes: usize = size(1 << 10..=64 << 20),
        /// Lines of a network.
        queue: usize = whole_number(1..=100_000),
        cells: usize = whole_number(1_000..=100_000_000),
        requests: usize = whole_number(1..=10_000),
        /// Bytes.
        memory_max: u64 = size(64 << 20..=16 << 40),
    }
}

section! {
    #[derive(Debug, Clone, PartialEq)]
    struct Rejects {
        /// The share of a feed's lines that may be rejected.
        share_max: f64 = number(0.0..=1.0),
    }
}

section! {
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Ingest {
        outage_hold: Micros = duration(0..=6 * HOUR),
    }
}

section! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Log {
        format: LogFormat = word(&[("text", LogFormat::Text), ("json", LogFormat::Json)]),
        level: &'static str = word(&LOG_LEVELS.map(|level| (level, level))),
    }
}

const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

section! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct MetricsListener {
        /// None: only the page has metrics.
        listen: Option<SocketAddr> = optional(parse_listener),
    }
}

/// `[detect]`, whose struct belongs to the engine.
pub(super) fn read_detect(section: &mut Section<'_>) -> Read<DetectSettings> {
    read_keys!(section, DetectSettings {
        method = text(),
        guardband = duration(0..=28 * DAY),
        coverage = number(0.0..=1.0),
        false_episodes_per_week = number(0.01..=10_000.0),
        floors = section(read_floors),
        params = section(|section| read_params(section, method.as_ref().ok())),
    })
}

fn read_floors(section: &mut Section<'_>) -> Read<Floors> {
    read_keys!(section, Floors {
        accounts = whole_number(1..=1_000_000),
        posts = whole_number(1..=1_000_000),
        ratio = number(1.0..=1_000.0),
    })
}

/// Checks of single keys.
impl Section<'_> {
    fn folder(&mut self, key: &str, expected: &str) -> Read<PathBuf> {
        self.text_of(key, expected, |text| !text.is_empty()).map(PathBuf::from)
    }

    fn warehouse_url(&mut self, key: &str) -> Read<String> {
        let hint =
            "write the address without user and password; `user` and `password-file` name them";
        self.value(key, |value, _| match value.text() {
            Some(url) if has_user(url) => Err(Misfit::new(SECRET_IN_URL, hint)),
            Some(url) => Ok(url.to_owned()),
            None => Err("a text in quotes".into()),
        })
    }

    fn pane_length(&mut self, key: &str) -> Read<Micros> {
        self.value(key, |value, _| {
            let length = value.text().and_then(parse_span);
            length.filter(|length| PANE_LENGTHS.contains(length)).ok_or_else(|| {
                format!("one of {}", PANE_LENGTHS.map(display_duration).join(", ")).into()
            })
        })
    }

    /// Multiples of the length of a pane, sorted.
    fn windows(&mut self, key: &str, length: Read<Micros>) -> Read<Vec<Micros>> {
        let expected = "a list of durations, such as `[\"24h\", \"7d\"]`";
        let windows = self.items(key, expected, |value, place| {
            Ok((duration_in(value, &(MINUTE..=WINDOW_MAX))?, place.clone()))
        })?;
        if windows.is_empty() {
            let hint = "write such as `windows = [\"24h\", \"7d\"]`";
            return Err(self.error(&self.place_of(key), "no windows", hint));
        }
        let length = length?;
        for (window, place) in &windows {
            let beyond = window % length;
            if beyond != 0 {
                let shown = [*window, length, window + length - beyond].map(display_duration);
                let [shown, length_shown, next] = shown;
                let message = format!("window {shown} is no multiple of `length`, {length_shown},");
                let hint = format!("write {next}, or another multiple of {length_shown}");
                self.error(&self.blamed(place.clone(), "length"), &message, &hint);
            }
        }
        let mut windows: Vec<Micros> = windows.into_iter().map(|(window, _)| window).collect();
        windows.sort_unstable();
        windows.dedup();
        Ok(windows)
    }

    fn horizon(&mut self, key: &str, lateness: Read<Micros>) -> Read<Micros> {
        let horizon = self.duration(key, HOUR..=HORIZON_MAX)?;
        let lateness = lateness?;
        if lateness >= horizon {
            let message = format!(
                "`lateness`, {}, reaches `horizon`, {},",
                display_duration(lateness),
                display_duration(horizon)
            );
            let place = self.blamed(self.place_read("lateness"), key);
            self.error(
                &place,
                &message,
                "a window is first judged well before its numbers are final",
            );
        }
        Ok(horizon)
    }

    /// The file's content is checked here and read again by the page.
    fn proxy_secret_file(&mut self, key: &str) -> Read<Option<PathBuf>> {
        let hint = "name a file whose only line is the secret that the proxy sends, such as 64 \
            random hexadecimal digits";
        let Some(path) = self.existing_file(key, hint)? else { return Ok(None) };
        let text = std::fs::read_to_string(&path);
        let problem = match text.as_deref().map(str::trim_end) {
            Ok(text) if text.lines().count() > 1 => "has more than one line",
            Ok(text) if text.len() < PROXY_SECRET_BYTES_LEAST => "is shorter than 16 characters",
            Ok(text) if !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
                "holds what no header can carry"
            }
            Ok(_) => return Ok(Some(path)),
            Err(_) => "can't be read as text",
        };
        let message = format!("`{}` {problem}, for `{key}`", path.display());
        Err(self.error(&self.place_of(key), &message, hint))
    }
}

/// A shorter secret could be guessed by anyone who reaches the port.
const PROXY_SECRET_BYTES_LEAST: usize = 16;

fn parse_proxy(text: &str, _: &Place) -> Result<IpAddr, Misfit> {
    let address: Option<IpAddr> = text.parse().ok();
    address.map(|address| address.to_canonical()).ok_or_else(|| {
        let message = format!("`trusted-proxies` names `{text}`, no address,");
        Misfit::new(message, "use addresses such as `127.0.0.1`")
    })
}

fn parse_listener(text: &str, _: &Place) -> Result<SocketAddr, Misfit> {
    let expected = "an address and a port, such as `127.0.0.1:9464`, or empty for none";
    text.trim().parse().map_err(|_| expected.into())
}

fn are_brokers(text: &str) -> bool {
    text.split(',').all(|broker| {
        let (host, port) = broker.trim().rsplit_once(':').unwrap_or_default();
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

fn is_stream_prefix(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=100).contains(&text.len()) && text.bytes().all(fits)
}

fn is_database(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

const SECRET_PROPERTIES: [&str; 4] =
    ["sasl.password", "ssl.key.password", "ssl.key.pem", "sasl.oauthbearer.client.secret"];

/// librdkafka's properties by its own names; the dots in them may be TOML's too.
fn read_properties(section: &mut Section<'_>) -> Read<Vec<(String, String)>> {
    let mut properties = Vec::new();
    flatten(section.everything(), "", &mut |name, node| {
        properties.push(if SECRET_PROPERTIES.contains(&name.as_str()) {
            let hint = "secrets never stand here: `password-file` in `[journal]` names the file of \
                `sasl.password`, `ssl.key.location` that of a key";
            Err(section.error(&node.key_place, &format!("secret in `{name}`"), hint))
        } else if let Some(text) = param_text(&node) {
            Ok((name, text))
        } else {
            let message = format!("bad value {} for `{name}`", node.value.shown());
            Err(section.error(&node.place, &message, "a text, a number, true or false"))
        });
    });
    properties.into_iter().collect()
}

fn flatten(table: Table, above: &str, take: &mut impl FnMut(String, Node)) {
    for (key, node) in table {
        let name = if above.is_empty() { key } else { format!("{above}.{key}") };
        match node.value {
            Value::Table(table) => flatten(table, &name, take),
            _ => take(name, node),
        }
    }
}

/// The parameters of a method, as the command line would give them.
fn read_params(section: &mut Section<'_>, method: Option<&String>) -> Read<Vec<(String, String)>> {
    let nodes = section.everything();
    if nodes.len() > PARAMS_MAX {
        let message = format!("{} parameters, more than {PARAMS_MAX},", nodes.len());
        return Err(section.error(&section.place_of(""), &message, "no method has so many"));
    }
    let texts: Vec<Read<(String, String)>> = nodes
        .iter()
        .map(|(key, node)| match param_text(node) {
            Some(text) => Ok((key.clone(), text)),
            None => {
                let message = format!("bad value {} for `{key}`", node.value.shown());
                let hint = "a text, a number, true or false, or a list of them";
                Err(section.error(&node.place, &message, hint))
            }
        })
        .collect();
    let params: Vec<(String, String)> = texts.iter().flatten().cloned().collect();
    check_params(section, method.ok_or(Noted)?, &params, &nodes)?;
    texts.into_iter().collect()
}

/// Notes each parameter that the method refuses: without it the next error shows.
fn check_params(
    section: &mut Section<'_>,
    method: &str,
    params: &[(String, String)],
    nodes: &Table,
) -> Read<()> {
    let mut params = params.to_vec();
    let mut sound = Ok(());
    while let Err(error) = Method::parse(method, &params) {
        let text = error.to_string();
        let (message, hint) = text.split_once("\nhint: ").unwrap_or((&text, ""));
        let key = match &error {
            ParamError::UnknownMethod { .. } => "",
            ParamError::UnknownParameter { key, .. }
            | ParamError::BadValue { key, .. }
            | ParamError::Twice { key, .. } => key,
        };
        // A method may name a parameter otherwise than it was written.
        let written = params.iter().position(|(name, _)| name == key);
        let written =
            written.or_else(|| params.iter().position(|(name, _)| name.eq_ignore_ascii_case(key)));
        let Some(index) = written else {
            return Err(section.error_above("method", message, hint));
        };
        sound = Err(section.error(&nodes[&params.remove(index).0].place, message, hint));
    }
    sound
}

/// Lists by comma, as on the command line.
fn param_text(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) | Value::Number(text) | Value::Given(text) => Some(text.clone()),
        Value::Boolean(value) => Some(value.to_string()),
        Value::List(items) => {
            let items: Option<Vec<String>> = items
                .iter()
                .map(|item| param_text(item).filter(|_| !matches!(item.value, Value::List(_))))
                .collect();
            items.map(|items| items.join(","))
        }
        Value::Date(_) | Value::Table(_) => None,
    }
}
