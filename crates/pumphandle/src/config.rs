//! The configuration: what the person who runs the program decided, checked as a whole before
//! anything starts.
//!
//! Two steps: `written` lays defaults, file, environment and `--set` over each other and remembers
//! where everything
//! stands; [`Config`] is made of it, validated, with paths resolved. Every mistake is told at once,
//! with its place and a
//! hint: serde would stop at the first, so values are asked for one by one (`reader`).
//! The defaults are `config/pumphandle.toml` itself, compiled in.
//! Knows what may be configured; opens nothing but the configuration and topic files, and makes no
//! keys.

mod notify_section;
mod places;
mod problem;
mod reader;
mod topics;
mod transport;
mod units;
pub(crate) use units::{display_duration, size};
mod written;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use feeds::intake::{Placing, ProfileRules};
use feeds::profiles::ProfileSettings;
use lexicon::{Lexicon, Topic};
use record::kind::Kind;
use record::time::{DAY, HOUR, MINUTE, Micros, SECOND};
use record::{DetectSettings, FeedSetting, Floors, Settings, TopicSetting};
use surveillance::detectors::{Method, ParamError};

pub(crate) use places::read_region_files;
pub(crate) use problem::{Place, Problem};
use reader::{At, Reader, Section, blamed};
pub(crate) use topics::read_files;
use written::{Node, Raw, Table};

/// The configuration file of the source tree, which is the defaults.
pub(crate) const DEFAULT: &str = include_str!("../../../config/pumphandle.toml");

/// Where a configuration is looked for when none is named.
const USUAL_FILES: [&str; 2] = ["pumphandle.toml", "config/pumphandle.toml"];

const FILE_BYTES_MAX: u64 = 1 << 20;
const PANE_LENGTHS: [Micros; 5] = [5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR];
const WINDOW_MAX: Micros = 7 * DAY;
const HORIZON_MAX: Micros = 7 * DAY;
const RETENTION_MAX: Micros = 8 * DAY;
const HARD_AGE_MAX: Micros = 14 * DAY;
const KEY_EPOCH_MAX: Micros = 90 * DAY;
const PARAMS_MAX: usize = 64;

/// Everything that is configured, in order.
#[derive(Clone)]
pub(crate) struct Config {
    /// The file that was read; none where all is default.
    pub(crate) file: Option<PathBuf>,
    pub(crate) journal: Journal,
    pub(crate) warehouse: Warehouse,
    pub(crate) panes: Panes,
    pub(crate) topics: Topics,
    pub(crate) feeds: Vec<Feed>,
    pub(crate) web: Web,
    pub(crate) detect: DetectSettings,
    pub(crate) alerts: Alerts,
    pub(crate) notify: Notify,
    pub(crate) privacy: Privacy,
    pub(crate) retention: Retention,
    pub(crate) limits: Limits,
    pub(crate) rejects: Rejects,
    pub(crate) ingest: Ingest,
    pub(crate) places: Places,
    pub(crate) log: Log,
    pub(crate) metrics: MetricsListener,
    /// What is allowed but should be known.
    pub(crate) warnings: Vec<Problem>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Journal {
    pub(crate) kind: JournalKind,
    /// The folder of everything local, relative to the working directory.
    pub(crate) data: PathBuf,
    pub(crate) partitions: u32,
    /// Whether reading goes on where retention has deleted what was not read yet.
    pub(crate) accept_gaps: bool,
    pub(crate) kafka: Kafka,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JournalKind {
    /// Files under the data folder.
    Local,
    Kafka,
}

/// What only [`JournalKind::Kafka`] needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kafka {
    pub(crate) brokers: String,
    pub(crate) prefix: String,
    /// How many brokers hold each record.
    pub(crate) replication: u16,
    pub(crate) session_timeout: Micros,
    /// Holds `sasl.password`.
    pub(crate) password_file: Option<PathBuf>,
    /// librdkafka's, by their own names.
    pub(crate) properties: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Warehouse {
    pub(crate) kind: WarehouseKind,
    pub(crate) clickhouse: ClickHouse,
}

/// What only [`WarehouseKind::ClickHouse`] needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClickHouse {
    pub(crate) url: String,
    pub(crate) database: String,
    pub(crate) user: String,
    pub(crate) password_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WarehouseKind {
    /// SQLite under the data folder.
    Local,
    ClickHouse,
}

/// Of symptom and disease topics; lateness and horizon are everyone's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Panes {
    pub(crate) length: Micros,
    /// Shortest first.
    pub(crate) windows: Vec<Micros>,
    pub(crate) lateness: Micros,
    pub(crate) horizon: Micros,
}

#[derive(Clone)]
pub(crate) struct Topics {
    pub(crate) lexicon: Arc<Lexicon>,
    /// Whether a tag also counts by its segments.
    pub(crate) segment: bool,
    /// The folder in which crises are written down.
    pub(crate) crises: PathBuf,
    /// Hash of what decides topics and voice from text.
    pub(crate) meaning: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Feed {
    pub(crate) name: String,
    /// Whether it brings all posts, not only matched ones.
    pub(crate) whole: bool,
    pub(crate) kind: FeedKind,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FeedKind {
    Jetstream {
        /// Tried in turn.
        urls: Vec<String>,
        collections: Vec<String>,
        wire: Wire,
        /// How far before the last event it resumes.
        rewind: Micros,
        /// How long a connection may be without an event.
        idle_timeout: Micros,
        /// Whom to ask for authors' profiles, if anybody.
        profiles: Option<FeedProfiles>,
        /// Certificates of authorities to trust beside Mozilla's list, as PEM.
        roots_file: Option<PathBuf>,
    },
    File {
        /// Paths, patterns and `-`, resolved, in the order of reading.
        paths: Vec<String>,
        follow: bool,
    },
}

/// How authors' profiles are asked for places.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FeedProfiles {
    pub(crate) settings: ProfileSettings,
    pub(crate) rules: ProfileRules,
}

/// How Jetstream's events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// By the address.
    Auto,
    V1,
    V2,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Web {
    pub(crate) listen: SocketAddr,
    /// Names by which the page may be called.
    pub(crate) hosts: Vec<String>,
    /// What those may who prove nothing.
    pub(crate) anonymous: web::Role,
    /// Proxies whose word on a client's address is believed.
    pub(crate) trusted_proxies: Vec<IpAddr>,
    /// Holds the secret with which their word on users and roles is believed too.
    pub(crate) proxy_secret_file: Option<PathBuf>,
    pub(crate) requests_per_minute: u32,
    pub(crate) connections_per_address: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alerts {
    /// Whether alerts are also printed as lines of JSON.
    pub(crate) stdout: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Notify {
    pub(crate) subscriptions: Vec<notify::Subscription>,
    /// Without a slash at its end.
    pub(crate) page: Option<String>,
    pub(crate) own_networks: Vec<(IpAddr, u8)>,
    pub(crate) roots_file: Option<PathBuf>,
    pub(crate) silence_after: Micros,
    pub(crate) mail: Option<Mail>,
    pub(crate) cap_sender: String,
    pub(crate) cap_status: notify::channel::cap::Status,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mail {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) encryption: notify::channel::mail::Encryption,
    pub(crate) user: Option<String>,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) from: String,
    pub(crate) unsubscribe: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Privacy {
    pub(crate) author_key_epoch: Micros,
    /// Where keys are made; none: beside the data folder.
    pub(crate) keys: Option<PathBuf>,
    /// None: made in the folder of keys.
    pub(crate) author_key_file: Option<PathBuf>,
    /// None: made in the folder of keys.
    pub(crate) routing_key_file: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Retention {
    pub(crate) posts: Micros,
    pub(crate) tallies: Micros,
    pub(crate) counts: Micros,
    pub(crate) rejects: Micros,
    /// From this age on records go although a stage has not read them.
    pub(crate) hard_age: Micros,
    /// In the warehouse; for ever where there is none.
    pub(crate) cells: Option<Micros>,
    pub(crate) verdicts: Option<Micros>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) line_bytes: usize,
    pub(crate) depth: usize,
    pub(crate) tags_per_post: usize,
    pub(crate) tag_bytes: usize,
    pub(crate) langs_per_post: usize,
    pub(crate) batch_bytes: usize,
    /// Lines of a network.
    pub(crate) queue: usize,
    pub(crate) cells: usize,
    pub(crate) requests: usize,
    /// Bytes.
    pub(crate) memory_max: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rejects {
    /// The share of a feed's lines that may be rejected without complaint.
    pub(crate) share_max: f64,
}

/// The atlas with the operator's own regions, and how it is used.
#[derive(Clone)]
pub(crate) struct Places {
    pub(crate) placing: Placing,
    /// The operator's, by region.
    pub(crate) populations: BTreeMap<String, u64>,
    /// Hash of what decides places.
    pub(crate) meaning: String,
}

impl Places {
    /// Inhabitants of a region, by the operator or by the atlas.
    pub(crate) fn population(&self, code: &str) -> Option<u64> {
        let known = || self.placing.atlas.region(code).and_then(|region| region.population);
        self.populations.get(code).copied().or_else(known)
    }

    /// Whether there is such a region: of the tree, the operator's own, or a language.
    pub(crate) fn is_region(&self, code: &str) -> bool {
        let atlas = &self.placing.atlas;
        let language = |code| record::language::find(code) == Some(code);
        code == record::region::NO_LANGUAGE
            || code.strip_prefix("lang:").is_some_and(language)
            || matches!(code, record::region::WORLD | record::region::UNLOCATED)
            || atlas.name(code).is_some()
    }

    /// Whether a code is a region's: of ISO 3166, of the operator's own, the world, or a
    /// language's.
    pub(crate) fn knows(&self, code: &str) -> bool {
        let language = code.strip_prefix("lang:");
        let is_language = language.is_some_and(|code| {
            (2..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_lowercase())
        });
        let own = || {
            self.placing
                .atlas
                .own()
                .is_some_and(|own| own.each().any(|own| own.code.eq_ignore_ascii_case(code)))
        };
        let is_special = code == record::region::WORLD || code == record::region::UNLOCATED;
        is_special || is_language || self.placing.atlas.region(code).is_some() || own()
    }

    /// What every region is called in the languages of the page, own ones included.
    pub(crate) fn names(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        const LANGUAGES: [&str; 4] = ["en", "fr", "es", "de"];
        let atlas = &self.placing.atlas;
        let named = |name: &dyn Fn(&'static str) -> String| {
            LANGUAGES.map(|language| (language.to_owned(), name(language))).into()
        };
        let world = atlas.regions().iter().map(|region| {
            (region.code.clone(), named(&|language| region.name_in(language).to_owned()))
        });
        let own = atlas.own().into_iter().flat_map(atlas::OwnRegions::each);
        let own = own
            .filter_map(|own| Some((own.code.to_owned(), own.name?)))
            .map(|(code, name)| (code, named(&|_| name.to_owned())));
        world.chain(own).collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ingest {
    pub(crate) outage_hold: Micros,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
    pub(crate) level: &'static str,
}

impl Default for Log {
    fn default() -> Log {
        Log { format: LogFormat::Text, level: "info" }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MetricsListener {
    /// None: only the page shows metrics.
    pub(crate) listen: Option<SocketAddr>,
}

/// The configuration, or everything that is wrong with it.
///
/// Without a path it is `pumphandle.toml` or `config/pumphandle.toml` in the working directory,
/// else the defaults.
/// `sets` are the arguments of `--set`; of `environment` only `PUMPHANDLE__SECTION__KEY` is looked
/// at.
pub(crate) fn load(
    path: Option<&Path>,
    sets: &[String],
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Config, Vec<Problem>> {
    let path = match path {
        Some(path) => Some(path.to_owned()),
        None => USUAL_FILES.iter().map(PathBuf::from).find(|path| path.is_file()),
    };
    load_layers(path, &[], sets, environment)
}

/// The built-in defaults and `sets` over them, whatever stands in the working directory.
#[cfg(test)]
pub(crate) fn built_in(sets: &[String]) -> Result<Config, Vec<Problem>> {
    load_layers(None, &[], sets, std::iter::empty())
}

/// The defaults, over them `usual`, the file if one is named, and `sets`: neither the working
/// directory nor the environment say
/// anything.
pub(crate) fn load_named(
    path: Option<&Path>,
    usual: &[String],
    sets: &[String],
) -> Result<Config, Vec<Problem>> {
    load_layers(path.map(Path::to_owned), usual, sets, std::iter::empty())
}

/// `usual`: what stands in for the defaults, in the form of `sets`.
fn load_layers(
    path: Option<PathBuf>,
    usual: &[String],
    sets: &[String],
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Config, Vec<Problem>> {
    let (mut root, mut problems) = written::parse(DEFAULT, |line| Place::Default { line });
    let feed_defaults = feed_defaults(&root);
    lay_sets_over(&mut root, usual, &mut problems);
    if let Some(path) = &path {
        let file = path.display().to_string();
        let text =
            read_text(path, FILE_BYTES_MAX).map_err(|error| vec![error.of_configuration(&file)])?;
        let (table, syntax) =
            written::parse(&text, |line| Place::File { file: file.clone(), line });
        problems.extend(syntax);
        written::lay_over(&mut root, table);
    }
    let mut overrides = Vec::new();
    lay_environment_over(&mut root, environment, &mut overrides);
    lay_sets_over(&mut root, sets, &mut overrides);
    let mut reader = Reader::new(root, problems);
    overrides.into_iter().for_each(|problem| reader.problem(problem));
    let named = path.iter().map(|path| path.display().to_string()).collect();
    let config = read(&mut reader, &feed_defaults, path);
    let mut problems = reader.finish();
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => {
            sort(&mut problems, named);
            Err(problems)
        }
    }
}

/// The process's environment, as far as it is text.
pub(crate) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn lay_environment_over(
    root: &mut Table,
    environment: impl Iterator<Item = (String, String)>,
    problems: &mut Vec<Problem>,
) {
    let ours = environment.filter_map(|(name, value)| {
        written::environment_path(&name).map(|path| (name, path, value))
    });
    let mut ours: Vec<_> = ours.collect();
    // The list of feeds before the keys of one.
    ours.sort_by(|(a, a_path, _), (b, b_path, _)| (a_path.len(), a).cmp(&(b_path.len(), b)));
    for (name, path, value) in ours {
        problems.extend(written::set(root, &path, &value, &Place::Environment(name)).err());
    }
}

fn lay_sets_over(root: &mut Table, sets: &[String], problems: &mut Vec<Problem>) {
    for set in sets {
        let Some((path, value)) = set.split_once('=') else {
            let problem = Problem::new(&Place::Set(set.clone()), "a key without a value");
            problems.push(problem.hint("write `--set section.key=value`"));
            continue;
        };
        let place = Place::Set(path.trim().to_owned());
        let path: Vec<String> = path.trim().split('.').map(str::to_owned).collect();
        problems.extend(written::set(root, &path, value.trim(), &place).err());
    }
}

/// What the feed of the defaults says of any feed.
fn feed_defaults(root: &Table) -> Table {
    let first = match root.get("feeds").map(|feeds| &feeds.raw) {
        Some(Raw::List(feeds)) => feeds.first(),
        _ => None,
    };
    let mut keys = match first.map(|feed| &feed.raw) {
        Some(Raw::Table(keys)) => keys.clone(),
        _ => Table::new(),
    };
    keys.retain(|key, _| key != "name" && key != "kind");
    keys
}

/// File by file, those of `files` first, each in order of lines.
fn sort(problems: &mut Vec<Problem>, mut files: Vec<String>) {
    let mut keyed: Vec<((usize, usize, usize), Problem)> = Vec::new();
    for problem in problems.drain(..) {
        let mut rank_of = |file: &String| match files.iter().position(|known| known == file) {
            Some(rank) => rank,
            None => {
                files.push(file.clone());
                files.len() - 1
            }
        };
        let key = match &problem.place {
            Place::Default { line } => (0, 0, *line),
            Place::WholeFile { file } => (1, rank_of(file), 0),
            Place::File { file, line } => (1, rank_of(file), *line),
            Place::Environment(_) => (2, 0, 0),
            Place::Set(_) => (3, 0, 0),
        };
        keyed.push((key, problem));
    }
    keyed.sort_by_key(|(key, _)| *key);
    problems.extend(keyed.into_iter().map(|(_, problem)| problem));
}

fn read(reader: &mut Reader, feed_defaults: &Table, file: Option<PathBuf>) -> Option<Config> {
    let mut warnings = Vec::new();
    let journal = reader.section("journal", |section| read_journal(section, file.as_deref()));
    let warehouse = reader.section("warehouse", |section| read_warehouse(section, file.as_deref()));
    let panes = reader.section("panes", read_panes);
    let topics = read_topics(reader, journal.as_ref(), file.as_deref());
    let feeds = read_feeds(reader, feed_defaults, file.as_deref(), &mut warnings);
    let web = reader.section("web", |section| read_web(section, file.as_deref(), &mut warnings));
    let detect = reader.section("detect", read_detect);
    let alerts = reader
        .section("alerts", |section| Some(Alerts { stdout: section.boolean("stdout")?.value }));
    let notify = notify_section::read(reader, file.as_deref());
    let privacy = reader.section("privacy", |section| read_privacy(section, file.as_deref()));
    let retention = reader.section("retention", read_retention);
    let limits = reader.section("limits", read_limits);
    let rejects = reader.section("rejects", |section| {
        Some(Rejects { share_max: section.number("share-max", 0.0..=1.0)?.value })
    });
    let ingest = reader.section("ingest", |section| {
        Some(Ingest { outage_hold: section.duration("outage-hold", 0..=6 * HOUR)?.value })
    });
    let places = places::read(reader, topics.as_ref(), file.as_deref());
    let log = reader.section("log", read_log);
    let metrics = reader.section("metrics", |section| read_metrics(section, &mut warnings));
    if reader.is_sound() {
        compare(reader, panes.as_ref(), detect.as_ref(), privacy.as_ref(), retention.as_ref());
    }
    let (panes, detect) = (panes?, detect?);
    let (privacy, retention) = (privacy?, retention?);
    let mut config = Config {
        file,
        journal: journal?,
        warehouse: warehouse?,
        panes: Panes {
            length: panes.length.value,
            windows: panes.windows.iter().map(|window| window.value).collect(),
            lateness: panes.lateness.value,
            horizon: panes.horizon.value,
        },
        topics: topics?,
        feeds: feeds?,
        web: web?,
        detect: DetectSettings { guardband: detect.guardband.value, ..detect.settings },
        alerts: alerts?,
        notify: notify?,
        privacy: Privacy { author_key_epoch: privacy.author_key_epoch.value, ..privacy.rest },
        retention: Retention {
            posts: retention.posts.value,
            tallies: retention.tallies.value,
            ..retention.rest
        },
        limits: limits?,
        rejects: rejects?,
        ingest: ingest?,
        places: places?,
        log: log?,
        metrics: metrics?,
        warnings,
    };
    config.warnings.extend(transport::warnings(&config));
    Some(config)
}

fn read_journal(section: &mut Section<'_>, file: Option<&Path>) -> Option<Journal> {
    let kind = read_kind(section, "kafka", cfg!(feature = "kafka"));
    let data = section.text_of("data", "the path of a folder", |text| !text.is_empty());
    let brokers = section.text_of("brokers", "`HOST:PORT`, several by commas", |text| {
        text.split(',').all(is_broker)
    });
    let prefix = section.text_of(
        "prefix",
        "letters, digits, `.`, `_` and `-`, at most 100",
        is_stream_prefix,
    );
    let partitions = section.whole_number("partitions", 1..=256);
    let replication = section.whole_number("replication", 1..=9);
    let session_timeout = section.duration("session-timeout", SECOND..=30 * MINUTE);
    let accept_gaps = section.boolean("accept-gaps");
    let password_file = read_secret_file(
        section,
        "password-file",
        file,
        "name the file that holds the password, and nothing else",
    );
    let properties = section.section("kafka", read_properties);
    let kafka = Kafka {
        brokers: brokers?.value,
        prefix: prefix?.value,
        replication: replication?.value,
        session_timeout: session_timeout?.value,
        password_file: password_file?,
        properties: properties?,
    };
    let kind = if kind? { JournalKind::Kafka } else { JournalKind::Local };
    Some(Journal {
        kind,
        data: PathBuf::from(data?.value),
        partitions: partitions?.value,
        accept_gaps: accept_gaps?.value,
        kafka,
    })
}

/// Whether `kind` names the server, which may not be in this build, rather than `local`.
fn read_kind(section: &mut Section<'_>, server: &str, built: bool) -> Option<bool> {
    let kind = if built {
        not_yet(section, "kind", &["local", server], &[])
    } else {
        not_yet(section, "kind", &["local"], &[server])
    };
    kind.map(|kind| kind == 1)
}

fn is_broker(text: &str) -> bool {
    let port = text
        .trim()
        .rsplit_once(':')
        .filter(|(host, _)| !host.is_empty())
        .map(|(_, port)| port.parse::<u16>());
    matches!(port, Some(Ok(1..)))
}

/// What librdkafka is to be told, by its own names; the dots in them may be TOML's too.
fn read_properties(section: &mut Section<'_>) -> Option<Vec<(String, String)>> {
    let mut properties = Vec::new();
    let mut fits = true;
    flatten(section.everything(), "", &mut |name, node| {
        if SECRET_PROPERTIES.contains(&name.as_str()) {
            let hint = "secrets never stand here: `password-file` in `[journal]` names the file of \
                `sasl.password`, `ssl.key.location` that of a key";
            section.problem(&node.key_place, &format!("secret in `{name}`"), Some(hint));
            fits = false;
        } else if let Some(text) = param_text(&node) {
            properties.push((name, text));
        } else {
            section.problem(
                &node.place,
                &format!("bad value {} for `{name}`", node.raw.shown()),
                Some("a text, a number, true or false"),
            );
            fits = false;
        }
    });
    fits.then_some(properties)
}

const SECRET_PROPERTIES: [&str; 4] =
    ["sasl.password", "ssl.key.password", "ssl.key.pem", "sasl.oauthbearer.client.secret"];

fn flatten(table: Table, above: &str, take: &mut impl FnMut(String, Node)) {
    for (key, node) in table {
        let name = if above.is_empty() { key } else { format!("{above}.{key}") };
        match node.raw {
            Raw::Table(table) => flatten(table, &name, take),
            _ => take(name, node),
        }
    }
}

fn is_stream_prefix(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=100).contains(&text.len()) && text.bytes().all(fits)
}

fn read_warehouse(section: &mut Section<'_>, file: Option<&Path>) -> Option<Warehouse> {
    let kind = read_kind(section, "clickhouse", cfg!(feature = "clickhouse"));
    let url = read_warehouse_url(section);
    let database = section.text_of("database", "a name of letters, digits and `_`", is_database);
    let user = section.text("user");
    let password_file = read_secret_file(
        section,
        "password-file",
        file,
        "name the file that holds the password, and nothing else",
    );
    let clickhouse = ClickHouse {
        url: url?,
        database: database?.value,
        user: user?.value,
        password_file: password_file?,
    };
    let kind = if kind? { WarehouseKind::ClickHouse } else { WarehouseKind::Local };
    Some(Warehouse { kind, clickhouse })
}

fn is_database(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn read_warehouse_url(section: &mut Section<'_>) -> Option<String> {
    let url = section.text("url")?;
    if has_user(&url.value) {
        section.problem(
            &url.place,
            SECRET_IN_URL,
            Some(
                "write the address without user and password; `user` and `password-file` name them",
            ),
        );
        return None;
    }
    Some(url.value)
}

const SECRET_IN_URL: &str = "secret in a url";

/// Whether a user, and perhaps a password, stands before the host.
fn has_user(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

/// A word, some of which are promised but not built; the place of one that is among `built`.
fn not_yet(
    section: &mut Section<'_>,
    key: &'static str,
    built: &[&str],
    later: &[&str],
) -> Option<usize> {
    let words: Vec<&str> = built.iter().chain(later).copied().collect();
    let word = section.word(key, &words)?;
    if word.value >= built.len() {
        let message = format!("not in this build yet: {key} `{}`", words[word.value]);
        section.problem(&word.place, &message, Some(&format!("use {}", listed(built))));
        return None;
    }
    Some(word.value)
}

fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ")
}

struct PanesRead {
    length: At<Micros>,
    windows: Vec<At<Micros>>,
    lateness: At<Micros>,
    horizon: At<Micros>,
}

fn read_panes(section: &mut Section<'_>) -> Option<PanesRead> {
    let length = section.value("length", |raw| {
        let length =
            raw.text().and_then(units::duration).filter(|length| PANE_LENGTHS.contains(length));
        length.ok_or_else(|| format!("one of {}", PANE_LENGTHS.map(display_duration).join(", ")))
    });
    let place = section.place_of("windows");
    let windows = section.durations("windows", MINUTE..=WINDOW_MAX);
    let lateness = section.duration("lateness", 0..=HOUR);
    let horizon = section.duration("horizon", HOUR..=HORIZON_MAX);
    let (length, mut windows, lateness, horizon) = (length?, windows?, lateness?, horizon?);
    if windows.is_empty() {
        section.problem(&place, "no windows", Some("write such as `windows = [\"24h\", \"7d\"]`"));
        return None;
    }
    for window in &windows {
        if window.value % length.value != 0 {
            let (shown, length_shown) =
                (display_duration(window.value), display_duration(length.value));
            let hint = format!(
                "write {}, or another multiple of {length_shown}",
                display_duration(window.value + length.value - window.value % length.value)
            );
            let place = blamed(window, &length).clone();
            section.problem(
                &place,
                &format!("window {shown} is no multiple of `length`, {length_shown},"),
                Some(&hint),
            );
        }
    }
    if lateness.value >= horizon.value {
        let message = format!(
            "`lateness`, {}, reaches `horizon`, {},",
            display_duration(lateness.value),
            display_duration(horizon.value)
        );
        let place = blamed(&lateness, &horizon).clone();
        section.problem(
            &place,
            &message,
            Some("a window is first judged well before its numbers are final"),
        );
    }
    windows.sort_by_key(|window| window.value);
    windows.dedup_by_key(|window| window.value);
    Some(PanesRead { length, windows, lateness, horizon })
}

fn read_topics(
    reader: &mut Reader,
    journal: Option<&Journal>,
    file: Option<&Path>,
) -> Option<Topics> {
    let read = reader.section("topics", |section| {
        let place = section.place_of("files");
        let files = section.texts("files");
        let segment = section.boolean("segment");
        let crises = section.text("crises");
        if files.as_ref().is_some_and(Vec::is_empty) {
            section.problem(
                &place,
                "no topic file for `files`",
                Some("leave `files` out for the topics that are compiled in"),
            );
            return None;
        }
        Some((files?, segment?.value, crises?))
    });
    let (files, segment, crises) = read?;
    let crises = match crises.value.as_str() {
        "" => journal
            .map_or_else(|| PathBuf::from("data"), |journal| journal.data.clone())
            .join("crises"),
        folder => resolve(base_of(&crises.place, file), folder),
    };
    let files = if files.iter().all(At::is_default) { None } else { Some(&*files) };
    let topics = topics::load(files, &crises, file, segment);
    match topics {
        Ok(topics) => Some(topics),
        Err(problems) => {
            problems.into_iter().for_each(|problem| reader.problem(problem));
            None
        }
    }
}

fn read_feeds(
    reader: &mut Reader,
    defaults: &Table,
    file: Option<&Path>,
    warnings: &mut Vec<Problem>,
) -> Option<Vec<Feed>> {
    let mut names: Vec<At<String>> = Vec::new();
    let feeds = reader.list_of_sections("feeds", defaults, |section| {
        let name = read_feed_name(section, &mut names);
        let kind = read_feed_kind(section, file, warnings);
        let filtered = section.boolean("filtered");
        Some(Feed { name: name?, kind: kind?, whole: !filtered?.value })
    })?;
    if feeds.is_empty() {
        let place = Place::WholeFile { file: shown_file(file) };
        warnings.push(
            Problem::new(&place, "no feed, so there is nothing to read")
                .hint("write `[[feeds]]` before each"),
        );
    }
    Some(feeds)
}

fn shown_file(file: Option<&Path>) -> String {
    file.map_or_else(|| "the defaults".to_owned(), |file| file.display().to_string())
}

fn read_feed_name(section: &mut Section<'_>, names: &mut Vec<At<String>>) -> Option<String> {
    let name = section.text_of(
        "name",
        "small letters, digits and single hyphens, such as `bluesky-eu`",
        is_name,
    )?;
    if let Some(first) = names.iter().find(|first| first.value == name.value) {
        let hint = format!("give each feed a name of its own; the first stands in {}", first.place);
        section.problem(&name.place, &format!("second feed named `{}`", name.value), Some(&hint));
        return None;
    }
    names.push(name.clone());
    Some(name.value)
}

/// Kebab-case: `bluesky-eu`.
fn is_name(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    text.len() <= 64 && text.split('-').all(is_part)
}

/// The keys that only one kind of feed has.
const JETSTREAM_KEYS: [&str; 10] = [
    "urls",
    "collections",
    "wire",
    "rewind",
    "idle-timeout",
    "profiles",
    "profiles-one-author-in",
    "profiles-per-minute",
    "profiles-expiry",
    "roots-file",
];
const FILE_KEYS: [&str; 2] = ["path", "follow"];

fn read_feed_kind(
    section: &mut Section<'_>,
    file: Option<&Path>,
    warnings: &mut Vec<Problem>,
) -> Option<FeedKind> {
    JETSTREAM_KEYS.iter().chain(&FILE_KEYS).for_each(|key| section.known(key));
    // A kind that is wrong says nothing of the keys beside it.
    let Some(kind) = not_yet(section, "kind", &["jetstream", "file"], &["mastodon", "x", "push"])
    else {
        JETSTREAM_KEYS.iter().chain(&FILE_KEYS).for_each(|key| section.leave(key));
        return None;
    };
    if kind == 0 {
        FILE_KEYS.iter().for_each(|key| section.refuse(key, "it belongs to feeds of kind `file`"));
        read_jetstream(section, file, warnings)
    } else {
        JETSTREAM_KEYS
            .iter()
            .for_each(|key| section.refuse(key, "it belongs to feeds of kind `jetstream`"));
        read_file_feed(section, file, warnings)
    }
}

fn read_jetstream(
    section: &mut Section<'_>,
    file: Option<&Path>,
    warnings: &mut Vec<Problem>,
) -> Option<FeedKind> {
    let urls = read_urls(section);
    let collections = read_collections(section, warnings);
    let wire = section.word("wire", &["auto", "v1", "v2"]);
    let rewind = section.duration("rewind", 0..=HOUR);
    let idle_timeout = section.duration("idle-timeout", SECOND..=10 * MINUTE);
    let profiles = read_profiles(section);
    let roots_file =
        read_secret_file(section, "roots-file", file, "name a file of certificates, as PEM");
    Some(FeedKind::Jetstream {
        urls: urls?,
        collections: collections?,
        wire: [Wire::Auto, Wire::V1, Wire::V2][wire?.value],
        rewind: rewind?.value,
        idle_timeout: idle_timeout?.value,
        profiles: profiles?,
        roots_file: roots_file?,
    })
}

/// Outer none: a problem; inner none: nobody is asked.
fn read_profiles(section: &mut Section<'_>) -> Option<Option<FeedProfiles>> {
    let url = section.optional_text("profiles");
    let one_author_in = section.whole_number("profiles-one-author-in", 1..=10_000);
    let per_minute = section.whole_number("profiles-per-minute", 1..=3_000);
    let expiry = section.duration("profiles-expiry", HOUR..=30 * DAY);
    let (url, one_author_in, per_minute, expiry) =
        (url?, one_author_in?.value, per_minute?.value, expiry?.value);
    let Some(url) = url else { return Some(None) };
    let rest = url.value.strip_prefix("https://").or(url.value.strip_prefix("http://"));
    if rest.is_none_or(|rest| {
        rest.is_empty() || rest.contains(|c: char| c.is_whitespace() || "@?#".contains(c))
    }) {
        let message = format!("bad value {} for `profiles`", written::quoted(&url.value));
        section.problem(
            &url.place,
            &message,
            Some("the address of an AppView, such as `https://public.api.bsky.app`"),
        );
        return None;
    }
    let settings =
        ProfileSettings { requests_per_minute: per_minute, ..ProfileSettings::new(&url.value) };
    Some(Some(FeedProfiles {
        settings,
        rules: ProfileRules { one_author_in, expiry, ..ProfileRules::default() },
    }))
}

fn read_urls(section: &mut Section<'_>) -> Option<Vec<String>> {
    let place = section.place_of("urls");
    let urls = section.texts("urls")?;
    if urls.is_empty() {
        section.problem(
            &place,
            "no url for `urls`",
            Some("leave `urls` out for the public servers"),
        );
        return None;
    }
    let mut all = Some(Vec::new());
    for url in urls {
        match check_url(&url.value) {
            Ok(()) => all.iter_mut().for_each(|all| all.push(url.value.clone())),
            Err((message, hint)) => {
                section.problem(&url.place, &message, Some(hint));
                all = None;
            }
        }
    }
    all
}

fn check_url(url: &str) -> Result<(), (String, &'static str)> {
    if has_user(url) {
        return Err((SECRET_IN_URL.to_owned(), "write the address without user and password"));
    }
    let bad = || format!("bad value {} for `urls`", written::quoted(url));
    let Some((_, rest)) =
        url.split_once("://").filter(|(scheme, _)| ["ws", "wss"].contains(scheme))
    else {
        return Err((bad(), "an address that begins with `wss://` or `ws://`"));
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if rest.contains(['?', '#']) {
        return Err((
            bad(),
            "the address without `?` and what follows; that is made from the other keys",
        ));
    }
    // The brackets of `[::1]:8080` hold colons of their own.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_host = !host.is_empty()
        && !host
            .contains(|c: char| c.is_whitespace() || c.is_control() || "\"<>\\^`{|}".contains(c));
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let is_path = !rest.contains(|c: char| c.is_whitespace() || c.is_control());
    if is_host && is_port && is_path {
        Ok(())
    } else {
        Err((bad(), "an address such as `wss://host/path` or `ws://127.0.0.1:6008/subscribe`"))
    }
}

/// What is asked for: with none of it posts, there is nothing to count.
fn read_collections(section: &mut Section<'_>, warnings: &mut Vec<Problem>) -> Option<Vec<String>> {
    let place = section.place_of("collections");
    let collections = section.texts("collections")?;
    let mut fits = true;
    for collection in &collections {
        let is_part = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'*')
        };
        if collection.value.split('.').count() < 2 || !collection.value.split('.').all(is_part) {
            let message =
                format!("bad value {} for `collections`", written::quoted(&collection.value));
            section.problem(
                &collection.place,
                &message,
                Some("the name of a collection, such as `app.bsky.feed.post`"),
            );
            fits = false;
        }
    }
    let collections: Vec<String> =
        collections.into_iter().map(|collection| collection.value).collect();
    if fits && !feeds::jetstream::wants_posts(&collections) {
        let message =
            format!("`collections` without `{}`, so no post will be read,", feeds::line::POSTS);
        warnings.push(Problem::new(&place, message).hint("leave `collections` out for posts"));
    }
    fits.then_some(collections)
}

fn read_file_feed(
    section: &mut Section<'_>,
    file: Option<&Path>,
    warnings: &mut Vec<Problem>,
) -> Option<FeedKind> {
    let follow = if section.is_given("follow") {
        section.boolean("follow").map(|follow| follow.value)
    } else {
        Some(false)
    };
    if !section.is_given("path") {
        let place = section.place.clone();
        section.problem_if_sound(
            &place,
            "a file feed without `path`",
            Some("name a file, a pattern such as `posts-*.ndjson.gz`, or `-` for standard input"),
        );
        return None;
    }
    let place = section.place_of("path");
    let written = section.text_or_texts("path")?;
    if written.is_empty() {
        section.problem(
            &place,
            "no path for `path`",
            Some("name a file, a pattern, or `-` for standard input"),
        );
        return None;
    }
    let follow = follow?;
    let mut paths = Vec::new();
    for path in written {
        if path.value == "-" {
            paths.push(path.value);
            continue;
        }
        let resolved = resolve(base_of(&path.place, file), &path.value);
        let is_pattern = path.value.contains(['*', '?', '[']);
        if !follow && !is_pattern && !resolved.exists() {
            warnings.push(
                Problem::new(
                    &path.place,
                    format!("no file `{}` for `path` in `[[feeds]]`", resolved.display()),
                )
                .hint("it must be there before `run` begins, or be followed"),
            );
        }
        paths.push(resolved.display().to_string());
    }
    Some(FeedKind::File { paths, follow })
}

fn read_web(
    section: &mut Section<'_>,
    file: Option<&Path>,
    warnings: &mut Vec<Problem>,
) -> Option<Web> {
    let listen =
        section.parsed::<SocketAddr>("listen", "an address and a port, such as `127.0.0.1:8080`");
    let hosts = section.texts("hosts");
    let roles = web::Role::ALL.map(web::Role::name);
    let anonymous = section.word("anonymous", &roles);
    let proxies = section.texts("trusted-proxies");
    let proxy_secret_file = read_proxy_secret(section, file);
    let requests_per_minute = section.whole_number("requests-per-minute", 10..=1_000_000);
    let connections_per_address = section.whole_number("connections-per-address", 4..=512);
    let listen = listen?;
    if !listen.value.ip().is_loopback() {
        let message = format!("`listen`, {}, lets other machines in, in `[web]`", listen.value);
        warnings.push(
            Problem::new(&listen.place, message)
                .hint("use `127.0.0.1`, or see that only those you trust reach it"),
        );
    }
    let anonymous = web::Role::ALL[anonymous?.value];
    let mut trusted_proxies = Vec::new();
    for proxy in proxies? {
        match proxy.value.parse() {
            Ok(address) => trusted_proxies.push(IpAddr::to_canonical(&address)),
            Err(_) => section.problem(
                &proxy.place,
                &format!("`trusted-proxies` names `{}`, no address,", proxy.value),
                Some("use addresses such as `127.0.0.1`"),
            ),
        }
    }
    Some(Web {
        listen: listen.value,
        hosts: hosts?.into_iter().map(|host| host.value).collect(),
        anonymous,
        trusted_proxies,
        proxy_secret_file: proxy_secret_file?,
        requests_per_minute: requests_per_minute?.value,
        connections_per_address: connections_per_address?.value,
    })
}

const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

fn read_log(section: &mut Section<'_>) -> Option<Log> {
    let format = section.word("format", &["text", "json"]);
    let level = section.word("level", &LOG_LEVELS);
    Some(Log {
        format: [LogFormat::Text, LogFormat::Json][format?.value],
        level: LOG_LEVELS[level?.value],
    })
}

fn read_metrics(section: &mut Section<'_>, warnings: &mut Vec<Problem>) -> Option<MetricsListener> {
    let Some(written) = section.optional_text("listen")? else {
        return Some(MetricsListener { listen: None });
    };
    let Ok(listen) = written.value.trim().parse::<SocketAddr>() else {
        let message = format!("bad value {} for `listen`", written::quoted(&written.value));
        section.problem(
            &written.place,
            &message,
            Some("an address and a port, such as `127.0.0.1:9464`, or empty for none"),
        );
        return None;
    };
    if !listen.ip().is_loopback() {
        let message =
            format!("`listen`, {listen}, lets other machines read the metrics, in `[metrics]`");
        warnings.push(
            Problem::new(&written.place, message)
                .hint("use `127.0.0.1`, or see that only your Prometheus reaches it"),
        );
    }
    Some(MetricsListener { listen: Some(listen) })
}

/// A short secret could be guessed by whoever reaches the port, and makes an operator.
const PROXY_SECRET_BYTES_LEAST: usize = 16;

fn read_proxy_secret(section: &mut Section<'_>, file: Option<&Path>) -> Option<Option<PathBuf>> {
    let key = "proxy-secret-file";
    let hint = "name a file whose only line is the secret that the proxy sends, such as 64 random \
        hexadecimal digits";
    let place = section.place_of(key);
    let path = read_secret_file(section, key, file, hint)?;
    let Some(path) = path else { return Some(None) };
    let problem = match std::fs::read_to_string(&path) {
        Ok(text) if text.trim_end().lines().count() > 1 => "has more than one line",
        Ok(text) if text.trim_end().len() < PROXY_SECRET_BYTES_LEAST => {
            "is shorter than 16 characters"
        }
        Ok(text) if !text.trim_end().bytes().all(|byte| byte.is_ascii_graphic()) => {
            "holds what no header can carry"
        }
        Ok(_) => return Some(Some(path)),
        Err(_) => "can't be read as text",
    };
    section.problem(&place, &format!("`{}` {problem}, for `{key}`", path.display()), Some(hint));
    None
}

struct DetectRead {
    settings: DetectSettings,
    guardband: At<Micros>,
}

fn read_detect(section: &mut Section<'_>) -> Option<DetectRead> {
    let method = section.text("method");
    let guardband = section.duration("guardband", 0..=28 * DAY);
    let coverage = section.number("coverage", 0.0..=1.0);
    let false_episodes = section.number("false-episodes-per-week", 0.01..=10_000.0);
    let floors = section.section("floors", |section| {
        let accounts = section.whole_number("accounts", 1..=1_000_000);
        let posts = section.whole_number("posts", 1..=1_000_000);
        let ratio = section.number("ratio", 1.0..=1_000.0);
        Some(Floors { accounts: accounts?.value, posts: posts?.value, ratio: ratio?.value })
    });
    let params = section.section("params", |section| read_params(section, method.as_ref()));
    // `params` notes an unknown method too, whose place is above.
    let (method, guardband, coverage, floors, params) =
        (method?, guardband?, coverage?, floors?, params?);
    let false_episodes_per_week = false_episodes?.value;
    let settings = DetectSettings {
        method: method.value,
        params,
        guardband: guardband.value,
        coverage: coverage.value,
        floors,
        false_episodes_per_week,
    };
    Some(DetectRead { settings, guardband })
}

/// The parameters of a method, as it would read them from the command line.
fn read_params(
    section: &mut Section<'_>,
    method: Option<&At<String>>,
) -> Option<Vec<(String, String)>> {
    let mut nodes = section.everything();
    if nodes.len() > PARAMS_MAX {
        let place = section.place.clone();
        section.problem(
            &place,
            &format!("{} parameters, more than {PARAMS_MAX},", nodes.len()),
            Some("no method has so many"),
        );
        return None;
    }
    let mut params = Vec::new();
    let mut fits = true;
    for (key, node) in &nodes {
        match param_text(node) {
            Some(text) => params.push((key.clone(), text)),
            None => {
                let message = format!("bad value {} for `{key}`", node.raw.shown());
                section.problem(
                    &node.place,
                    &message,
                    Some("a text, a number, true or false, or a list of them"),
                );
                fits = false;
            }
        }
    }
    let method = method?;
    let mut remaining = params.clone();
    // Each error names one parameter: without it the next shows.
    while let Err(error) = Method::parse(&method.value, &remaining) {
        fits = false;
        let text = error.to_string();
        let (message, hint) = text
            .split_once("\nhint: ")
            .map_or((text.as_str(), None), |(message, hint)| (message, Some(hint)));
        let key = match &error {
            ParamError::UnknownMethod { .. } => {
                section.problem_above(&method.place, message, hint);
                break;
            }
            ParamError::UnknownParameter { key, .. }
            | ParamError::BadValue { key, .. }
            | ParamError::Twice { key, .. } => key,
        };
        // A method may name a parameter otherwise than it was written.
        let written = remaining.iter().position(|(name, _)| name == key);
        let written = written
            .or_else(|| remaining.iter().position(|(name, _)| name.eq_ignore_ascii_case(key)));
        let node = written.and_then(|index| nodes.remove(&remaining.remove(index).0));
        match node {
            Some(node) => section.problem(&node.place, message, hint),
            None => {
                section.problem_above(&method.place, message, hint);
                break;
            }
        }
    }
    fits.then_some(params)
}

/// Lists by comma, as on the command line.
fn param_text(node: &Node) -> Option<String> {
    match &node.raw {
        Raw::Text(text) | Raw::Number(text) | Raw::Given(text) => Some(text.clone()),
        Raw::Boolean(value) => Some(value.to_string()),
        Raw::List(items) => {
            let items: Option<Vec<String>> = items
                .iter()
                .map(|item| param_text(item).filter(|_| !matches!(item.raw, Raw::List(_))))
                .collect();
            items.map(|items| items.join(","))
        }
        Raw::Date(_) | Raw::Table(_) => None,
    }
}

struct PrivacyRead {
    rest: Privacy,
    author_key_epoch: At<Micros>,
}

fn read_privacy(section: &mut Section<'_>, file: Option<&Path>) -> Option<PrivacyRead> {
    let author_key_epoch = section.duration("author-key-epoch", DAY..=KEY_EPOCH_MAX);
    let left_out = "leave it out and one is made beside the data folder";
    let keys =
        section.optional_text("keys")?.map(|keys| resolve(base_of(&keys.place, file), &keys.value));
    let author_key_file = read_secret_file(section, "author-key-file", file, left_out);
    let routing_key_file = read_secret_file(section, "routing-key-file", file, left_out);
    let author_key_epoch = author_key_epoch?;
    let rest = Privacy {
        author_key_epoch: author_key_epoch.value,
        keys,
        author_key_file: author_key_file?,
        routing_key_file: routing_key_file?,
    };
    Some(PrivacyRead { rest, author_key_epoch })
}

/// Outer none: a problem; inner none: not given. The file is not read here.
fn read_secret_file(
    section: &mut Section<'_>,
    key: &'static str,
    file: Option<&Path>,
    hint: &str,
) -> Option<Option<PathBuf>> {
    let Some(path) = section.optional_text(key)? else {
        return Some(None);
    };
    let resolved = resolve(base_of(&path.place, file), &path.value);
    if !resolved.is_file() {
        let message = format!("no file `{}` for `{key}`", resolved.display());
        section.problem(&path.place, &message, Some(hint));
        return None;
    }
    Some(Some(resolved))
}

struct RetentionRead {
    rest: Retention,
    posts: At<Micros>,
    tallies: At<Micros>,
}

fn read_retention(section: &mut Section<'_>) -> Option<RetentionRead> {
    let posts = section.duration("posts", HOUR..=RETENTION_MAX);
    let tallies = section.duration("tallies", HOUR..=RETENTION_MAX);
    let counts = section.duration("counts", DAY..=3_650 * DAY);
    let rejects = section.duration("rejects", HOUR..=365 * DAY);
    let hard_age = section.duration("hard-age", DAY..=HARD_AGE_MAX);
    let cells = section.optional_duration("cells", 30 * DAY..=36_500 * DAY);
    let verdicts = section.optional_duration("verdicts", 30 * DAY..=36_500 * DAY);
    let (posts, tallies) = (posts?, tallies?);
    let rest = Retention {
        posts: posts.value,
        tallies: tallies.value,
        counts: counts?.value,
        rejects: rejects?.value,
        hard_age: hard_age?.value,
        cells: cells?.value,
        verdicts: verdicts?.value,
    };
    Some(RetentionRead { rest, posts, tallies })
}

fn read_limits(section: &mut Section<'_>) -> Option<Limits> {
    let line_bytes = section.size("line-bytes", 1 << 10..=64 << 20);
    let depth = section.whole_number("depth", 8..=128);
    let tags_per_post = section.whole_number("tags-per-post", 1..=256);
    let tag_bytes = section.whole_number("tag-bytes", 16..=4_096);
    let langs_per_post = section.whole_number("langs-per-post", 1..=16);
    let batch_bytes = section.size("batch-bytes", 1 << 10..=64 << 20);
    let queue = section.whole_number("queue", 1..=100_000);
    let cells = section.whole_number("cells", 1_000..=100_000_000);
    let requests = section.whole_number("requests", 1..=10_000);
    let memory_max = section.size("memory-max", 64 << 20..=16 << 40);
    Some(Limits {
        line_bytes: usize::try_from(line_bytes?.value).ok()?,
        depth: depth?.value,
        tags_per_post: tags_per_post?.value,
        tag_bytes: tag_bytes?.value,
        langs_per_post: langs_per_post?.value,
        batch_bytes: usize::try_from(batch_bytes?.value).ok()?,
        queue: queue?.value,
        cells: cells?.value,
        requests: requests?.value,
        memory_max: memory_max?.value,
    })
}

/// What no section can say alone.
fn compare(
    reader: &mut Reader,
    panes: Option<&PanesRead>,
    detect: Option<&DetectRead>,
    privacy: Option<&PrivacyRead>,
    retention: Option<&RetentionRead>,
) {
    let Some(panes) = panes else { return };
    let horizon = &panes.horizon;
    let mut at_least_horizon = |span: &At<Micros>, name: &str, section: &str, why: &str| {
        if span.value >= horizon.value {
            return;
        }
        let (shown, horizon_shown) =
            (display_duration(span.value), display_duration(horizon.value));
        let message = format!(
            "{name}, {shown}, is shorter than `panes.horizon`, {horizon_shown}, in `{section}`"
        );
        let message = if span.is_default() {
            format!("`horizon`, {horizon_shown}, is longer than {name}, {shown}, in `[panes]`")
        } else {
            message
        };
        reader.problem(Problem::new(blamed(span, horizon), message).hint(why));
    };
    if let Some(detect) = detect {
        let why = "a baseline is made of numbers that are final";
        at_least_horizon(&detect.guardband, "`detect.guardband`", "[detect]", why);
    }
    if let Some(retention) = retention {
        let why = "what may still be revised must still be there";
        at_least_horizon(&retention.posts, "`retention.posts`", "[retention]", why);
        at_least_horizon(&retention.tallies, "`retention.tallies`", "[retention]", why);
    }
    if let Some(privacy) = privacy {
        let longest = Kind::ALL
            .iter()
            .flat_map(|kind| kind.windows())
            .copied()
            .chain(panes.windows.iter().map(|window| window.value))
            .max();
        let least = longest.unwrap_or(WINDOW_MAX) + horizon.value;
        let epoch = &privacy.author_key_epoch;
        if epoch.value < least {
            let shown = display_duration(epoch.value);
            let message = format!(
                "`author-key-epoch`, {shown}, is shorter than the longest window and the horizon, \
                    in `[privacy]`"
            );
            reader.problem(
                Problem::new(blamed(epoch, horizon), message)
                    .hint(format!("at least {}", display_duration(least))),
            );
        }
    }
}

impl Limits {
    /// The bounds of one line.
    pub(crate) fn of_lines(&self) -> feeds::line::Limits {
        feeds::line::Limits {
            line_bytes_max: self.line_bytes,
            depth_max: self.depth,
            tags_max: self.tags_per_post,
            tag_bytes_max: self.tag_bytes,
        }
    }
}

impl Feed {
    fn setting(&self) -> FeedSetting {
        let one_author_in = match &self.kind {
            FeedKind::Jetstream { profiles: Some(profiles), .. } => profiles.rules.one_author_in,
            _ => 0,
        };
        FeedSetting { one_author_in, ..FeedSetting::new(&self.name, self.whole) }
    }
}

impl Config {
    /// What the engine must know of it. Number, generation, start and key fingerprints are the
    /// caller's.
    pub(crate) fn settings(&self) -> Settings {
        let mut topics: Vec<TopicSetting> =
            self.topics.lexicon.topics().iter().map(|topic| self.topic_setting(topic)).collect();
        // The order of files and of topics in them means nothing.
        topics.sort_by(|a, b| a.id.cmp(&b.id));
        Settings {
            lateness: self.panes.lateness,
            horizon: self.panes.horizon,
            pane: self.panes.length,
            windows: self.panes.windows.clone(),
            partitions: self.journal.partitions,
            topics,
            feeds: self.feeds.iter().map(Feed::setting).collect(),
            regions: self
                .places
                .placing
                .atlas
                .own()
                .map(atlas::OwnRegions::table)
                .unwrap_or_default(),
            detect: self.detect.clone(),
            author_epoch: self.privacy.author_key_epoch,
            cells_max: self.limits.cells as u64,
            key_fingerprints: Vec::new(),
            lexicon: self.topics.meaning.clone(),
            places: self.places.meaning.clone(),
            ..Settings::default()
        }
    }

    fn topic_setting(&self, topic: &Topic) -> TopicSetting {
        let (pane, windows) = match topic.kind {
            Kind::Symptom | Kind::Disease => (self.panes.length, self.panes.windows.clone()),
            kind => (kind.pane(), kind.windows().to_vec()),
        };
        TopicSetting {
            id: topic.id.clone(),
            name: topic.name.clone(),
            kind: topic.kind,
            pane,
            windows,
        }
    }
}

/// What the paths of a place are relative to: files to the configuration file's folder, the rest to
/// the working directory.
fn base_of<'file>(place: &Place, file: Option<&'file Path>) -> &'file Path {
    match place {
        Place::File { .. } => file.and_then(Path::parent).unwrap_or(Path::new("")),
        _ => Path::new(""),
    }
}

fn resolve(base: &Path, path: &str) -> PathBuf {
    base.join(path)
}

#[derive(Debug)]
enum ReadError {
    Io(io::Error),
    TooLarge { bytes_max: u64 },
    NotText { line: usize },
}

impl ReadError {
    fn of_configuration(&self, file: &str) -> Problem {
        let problem =
            self.problem(&Place::WholeFile { file: file.to_owned() }, "the configuration", file);
        problem.or_hint(
            "without `--config` the defaults hold; its path is relative to the working directory",
        )
    }

    /// Of `file`, called `name` in the message, which was named at `place`.
    fn problem(&self, place: &Place, name: &str, file: &str) -> Problem {
        match self {
            ReadError::Io(error) => {
                let why = match error.kind() {
                    io::ErrorKind::NotFound => "no such file".to_owned(),
                    kind => kind.to_string(),
                };
                Problem::new(place, format!("failed to read {name}: {why}"))
            }
            ReadError::TooLarge { bytes_max } => {
                let message = format!("{name} is longer than {}", units::display_size(*bytes_max));
                Problem::new(place, message).hint("no such file is; see what was named there")
            }
            ReadError::NotText { line } => Problem::new(
                &Place::File { file: file.to_owned(), line: *line },
                "bytes that are no UTF-8",
            )
            .hint("save the file as UTF-8"),
        }
    }
}

/// A text file of bounded length, without the byte order mark that some editors write.
fn read_text(path: &Path, bytes_max: u64) -> Result<String, ReadError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(ReadError::Io)?;
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(ReadError::Io)?;
    if bytes.len() as u64 > bytes_max {
        return Err(ReadError::TooLarge { bytes_max });
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        ReadError::NotText {
            line: 1 + error.as_bytes()[..good].iter().filter(|byte| **byte == b'\n').count(),
        }
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}
